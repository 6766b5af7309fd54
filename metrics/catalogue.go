package metrics

import (
	"runtime"
	"strconv"

	"brainer/internal/op"
)

// statusRows are computed from the broker's state at the moment of the scrape.
var statusRows = []row[*op.Status]{
	{"brainer_broker_state", gauge, "1 for the state that the broker is in, 0 for the others.", labels{"state"},
		func(s *op.Status, out sink) { out.oneHot(op.BrokerStates, s.State) }},
	{"brainer_leader", gauge, "1 while this broker is the one that orders writes.", nil,
		func(s *op.Status, out sink) { out.flag(s.Leader) }},
	{"brainer_epoch", gauge, "Epoch, the number of the reign of this leader.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Epoch)) }},
	{"brainer_index", gauge, "Index of the last entry ordered.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Index)) }},
	{"brainer_safe_index", gauge, "Index up to which every in-sync node has applied.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Safe)) }},
	{"brainer_view_number", gauge, "Number of the durable record of the in-sync set.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.ViewNo)) }},
	{"brainer_nodes_in_sync", gauge, "Nodes in the in-sync set.", nil,
		func(s *op.Status, out sink) { out.value(float64(inSync(s))) }},
	{"brainer_min_in_sync", gauge, "In-sync nodes that a write needs (--min-in-sync).", nil,
		func(s *op.Status, out sink) { out.value(float64(s.MinInSync)) }},
	{"brainer_pending_writes", gauge, "Writes ordered and not yet answered.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.PendingWrites)) }},
	{"brainer_pending_reads", gauge, "Reads sent to a node and not yet answered.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.PendingReads)) }},
	{"brainer_inflight_bytes", gauge, "Bytes of client requests taken and not yet answered.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.InflightBytes)) }},

	{"brainer_log_window_entries", gauge, "Entries kept for nodes that catch up.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.WindowEntries)) }},
	{"brainer_log_window_bytes", gauge, "Bytes of the entries kept for nodes that catch up.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.WindowBytes)) }},
	{"brainer_log_window_seconds", gauge, "Age of the oldest entry kept for nodes that catch up.", nil,
		func(s *op.Status, out sink) { out.value(s.WindowSeconds) }},

	{"brainer_resends_total", counter, "Entries sent to a node again.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Resends)) }},
	{"brainer_reads_rerouted_total", counter, "Reads sent again to another node.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.ReadsRerouted)) }},
	{"brainer_reads_hedged_total", counter, "Reads asked of a second node because the first was slow (--hedge-reads).", nil,
		func(s *op.Status, out sink) { out.value(float64(s.ReadsHedged)) }},
	{"brainer_reads_hedged_won_total", counter, "Of these, reads that the second node answered first.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.ReadsHedgedWon)) }},
	{"brainer_writes_sent_ahead_total", counter, "Large writes that nodes held before they were ordered.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.SentAhead)) }},
	{"brainer_near_cache_hits_total", counter, "Reads that the broker answered from its near cache (--near-cache).", nil,
		func(s *op.Status, out sink) { out.value(float64(s.NearHits)) }},
	{"brainer_near_cache_misses_total", counter, "Reads of one key that it did not have a reply to.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.NearMisses)) }},
	{"brainer_near_cache_bytes", gauge, "Bytes of replies in the near cache.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.NearBytes)) }},
	{"brainer_memory_limit_bytes", gauge, "The smallest memory limit of all nodes (--maxmemory); 0: there is none.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Memory.SmallestBytes)) }},
	{"brainer_memory_used_bytes", gauge, "What the node takes that takes most, as far as it is compared with the limit.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Memory.UsedBytes)) }},
	{"brainer_key_hits_total", counter, "Keys that were looked up for reading and found, as Redis's keyspace_hits.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.KeyHits)) }},
	{"brainer_key_misses_total", counter, "Keys that were looked up for reading and not found, as Redis's keyspace_misses.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.KeyMisses)) }},
	{"brainer_keys_expired_total", counter, "Keys that were freed because their deadline had passed.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Expired)) }},
	{"brainer_memory_waiting_operations", gauge, "Operations that wait until evictions have made room for a write.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Memory.Waiting)) }},
	{"brainer_memory_refused_writes_total", counter, "Writes refused with -OOM.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Memory.Refused)) }},
	{"brainer_keys_evicted_total", counter, "Keys evicted because of the memory limit, by policy.", labels{"policy"},
		func(s *op.Status, out sink) {
			for policy, n := range s.Memory.EvictedBy {
				out.value(float64(n), policy)
			}
		}},
	{"brainer_keys_nominated_total", counter, "Keys that nodes named for eviction, and that were looked at.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Memory.Nominated)) }},
	{"brainer_hottest_key_operations_per_second", gauge, "Operations in the last second on the key that had most (BRAINER HOTKEYS names it).", nil,
		func(s *op.Status, out sink) {
			most := int64(0)
			if len(s.Hot) > 0 {
				most = s.Hot[0].Reads + s.Hot[0].Writes
			}
			out.value(float64(most))
		}},
	{"brainer_hot_keys_spread", gauge, "Keys whose reads go to all in-sync nodes in turn (--hot-reads).", nil,
		func(s *op.Status, out sink) { out.value(float64(s.HotSpread)) }},
	{"brainer_hedge_delay_seconds", gauge, "How long a read may take before it is asked of a second node; 0: none is.", nil,
		func(s *op.Status, out sink) { out.value(s.HedgeAfter) }},
	{"brainer_digest_mismatches_total", counter, "Times that a node's state was found to differ from the others'.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.DigestMismatches)) }},
	{"brainer_verify_passes_total", counter, "Comparisons of all copies, range by range, that found them equal.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Verify.Passes)) }},
	{"brainer_verify_last_equal_timestamp_seconds", gauge, "When the last of these ended, as Unix time; 0: there was none.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Verify.EqualMs) / 1000) }},
	{"brainer_verify_ranges_total", counter, "Ranges of keys that were compared and found equal.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Verify.TotalRanges)) }},
	{"brainer_verify_mismatches_total", counter, "Ranges of keys that were found to differ; the log names the keys.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.Verify.TotalDiffered)) }},
	{"brainer_nodes_evicted_total", counter, "Times that a node left the in-sync set, by reason.", labels{"reason"},
		func(s *op.Status, out sink) {
			for reason, n := range s.NodesEvicted {
				out.value(float64(n), reason)
			}
		}},
	{"brainer_resumes_total", counter, "Joins that needed only entries from the log window.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.ResumesTotal)) }},
	{"brainer_snapshots_total", counter, "Joins that needed a snapshot.", nil,
		func(s *op.Status, out sink) { out.value(float64(s.SnapshotsTotal)) }},

	{"brainer_node_up", gauge, "1 while the node has a session; a node that left stays, with 0, until it is forgotten.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return oneIf(n.Up) })},
	{"brainer_node_info", gauge, "Always 1; the labels say what the node runs and the protocol version it is spoken with.", labels{"node", "version", "protocol"},
		func(s *op.Status, out sink) {
			for i := range s.Nodes {
				if n := &s.Nodes[i]; n.Protocol > 0 {
					out.value(1, n.ID, n.Software, strconv.Itoa(n.Protocol))
				}
			}
		}},
	{"brainer_node_state", gauge, "1 for the state that the node is in, 0 for the others.", labels{"node", "state"},
		func(s *op.Status, out sink) {
			for i := range s.Nodes {
				out.oneHot(op.NodeStates, s.Nodes[i].State, s.Nodes[i].ID)
			}
		}},
	{"brainer_node_in_sync", gauge, "1 while acknowledgements wait for the node and it answers reads.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return oneIf(n.InSync) })},
	{"brainer_node_heartbeat_age_seconds", gauge, "Time since the last heartbeat of the node.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return n.HeartbeatAge })},
	{"brainer_node_applied_index", gauge, "Last index that the node has applied, as far as the broker knows.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return float64(n.Applied) })},
	{"brainer_node_lag_entries", gauge, "Entries ordered that the node has not applied.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return float64(n.LagEntries) })},
	{"brainer_node_lag_seconds", gauge, "Age of the oldest entry that the node has not applied.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return n.LagSeconds })},
	{"brainer_node_inflight_bytes", gauge, "Bytes sent to the node that it has not confirmed.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return float64(n.InflightBytes) })},
	{"brainer_node_keys", gauge, "Keys of the node's copy.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return float64(n.Keys) })},
	{"brainer_node_used_memory_bytes", gauge, "Memory of the node's copy, counted logically.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return float64(n.UsedMemory) })},
	{"brainer_node_memory_bytes", gauge, "What the node takes of its process's memory, as far as it is compared with the limit.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return float64(n.Memory) })},
	{"brainer_node_ids", gauge, "Clients whose last write with an id (BRAINER WITH ID) the node's copy remembers; beyond 100000 further ones are refused.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return float64(n.IDs) })},
	{"brainer_node_ids_answered_total", counter, "Writes that came again with the same id, which the node answered from memory.", labels{"node"},
		perNode(func(n *op.NodeStatus) float64 { return float64(n.IDsAnswered) })},

	{"brainer_replay_phase", gauge, "How far the node's join is: 0 idle, 1 waiting for a donor, 2 snapshot, 3 replay, 4 entering the in-sync set.", labels{"node"},
		perNode(phase)},
	{"brainer_replay_keys_done", gauge, "Keys of the snapshot that the joiner has loaded; only while it joins.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) { return float64(j.KeysDone), true })},
	{"brainer_replay_keys_total", counter, "Keys of the snapshot that the joiner loads; only while it joins.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) { return float64(j.KeysTotal), true })},
	{"brainer_replay_bytes_done", gauge, "Bytes of the snapshot that the joiner has loaded; only while it joins.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) { return float64(j.BytesDone), true })},
	{"brainer_replay_bytes_total", counter, "Bytes of the snapshot that the joiner loads, an estimate; only while it joins.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) { return float64(j.BytesTotal), true })},
	{"brainer_replay_entries_behind", gauge, "Entries that the joiner still has to replay; only while it joins.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) { return float64(j.EntriesBehind), true })},
	{"brainer_replay_eta_seconds", gauge, "Estimated time until the joiner is live; only while it joins and can be told.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) { return j.EtaSeconds, j.EtaSeconds >= 0 })},
	{"brainer_replay_bytes_per_second", gauge, "What the joiner is sent, of late; only while it joins.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) { return float64(j.BytesPerSecond), true })},
	{"brainer_replay_paced_bytes_per_second", gauge, "What the joiner may be sent, lest clients wait longer than before (never less than --join-floor for all joiners together); only while it is paced.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) { return float64(j.PacedTo), j.PacedTo > 0 })},
	{"brainer_replay_writes_paced", gauge, "1: clients' writes wait for the joiner, which does not catch up otherwise; only while it joins.", labels{"node"},
		perJoin(func(j *op.JoinStatus) (float64, bool) {
			if j.WritesPaced {
				return 1, true
			}
			return 0, true
		})},
}

// workRows are what a broker counts as it works.
var workRows = []row[*Broker]{
	{"brainer_commands_total", counter, "Commands answered, by result: ok or error.", labels{"command", "result"},
		func(b *Broker, out sink) {
			b.Commands.each(func(name string, c *Command) {
				out.value(float64(c.ok.Load()), name, "ok")
				out.value(float64(c.failed.Load()), name, "error")
			})
		}},
	{"brainer_command_duration_seconds", histogram, "Time from a command's arrival to its reply.", labels{"command"},
		func(b *Broker, out sink) {
			b.Commands.each(func(name string, c *Command) { out.histogram(&c.durations, name) })
		}},
	{"brainer_write_duration_seconds", histogram, "Time from taking a write to its acknowledgement (what it waits for memory included), by the rule it waits for: all, primary or number.", labels{"ack"},
		func(b *Broker, out sink) {
			out.histogram(&b.Writes.all, "all")
			out.histogram(&b.Writes.primary, "primary")
			out.histogram(&b.Writes.number, "number")
		}},
	{"brainer_node_ack_duration_seconds", histogram, "Time from sending a batch to the node to its acknowledgement.", labels{"node"},
		func(b *Broker, out sink) {
			b.NodeAcks.each(func(node string, h *Histogram) { out.histogram(h, node) })
		}},
	{"brainer_link_refusals_total", counter, "Connections and messages refused at the ZeroMQ endpoint, by reason: unknown_key, handshake (no keys, or another broker's), role.", labels{"reason"},
		func(b *Broker, out sink) {
			if b.Refusals != nil {
				b.Refusals(func(reason string, n uint64) { out.value(float64(n), reason) })
			}
		}},
}

// savingRows are of the snapshots that are kept, if any are.
var savingRows = []row[*op.Saving]{
	savingRow("brainer_snapshot_every_seconds", gauge, "How often a snapshot is saved (--snapshot-every); 0: when BGSAVE asks for it.",
		func(s *op.Saving) float64 { return s.EverySeconds }),
	savingRow("brainer_snapshot_running", gauge, "1 while a snapshot is being saved.",
		func(s *op.Saving) float64 { return oneIf(s.Running) }),
	savingRow("brainer_snapshot_last_success_timestamp_seconds", gauge, "When the data was as the newest saved snapshot has it, as Unix time; 0: there is none.",
		func(s *op.Saving) float64 { return float64(s.LastMs) / 1000 }),
	savingRow("brainer_snapshot_last_duration_seconds", gauge, "How long saving took the last time, whatever came of it.",
		func(s *op.Saving) float64 { return float64(s.TookMs) / 1000 }),
	savingRow("brainer_snapshot_last_bytes", gauge, "Bytes of the last snapshot that this broker has saved.",
		func(s *op.Saving) float64 { return float64(s.LastBytes) }),
	savingRow("brainer_snapshot_last_keys", gauge, "Keys of the last snapshot that this broker has saved.",
		func(s *op.Saving) float64 { return float64(s.LastKeys) }),
	savingRow("brainer_snapshots_saved_total", counter, "Snapshots saved in the directory of --snapshot-dir.",
		func(s *op.Saving) float64 { return float64(s.Saved) }),
	savingRow("brainer_snapshot_failures_total", counter, "Snapshots that could not be saved there; the log says why.",
		func(s *op.Saving) float64 { return float64(s.Failures) }),
}

func savingRow(name string, kind kind, help string, value func(*op.Saving) float64) row[*op.Saving] {
	return row[*op.Saving]{name, kind, help + " Only with --snapshot-dir.", nil, func(s *op.Saving, out sink) {
		if s.Configured {
			out.value(value(s))
		}
	}}
}

// frontEndRows are computed from the front end's state at the moment of the scrape.
var frontEndRows = []row[*FrontEnd]{
	{"brainer_connected_clients", gauge, "Client connections open.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.Connected)) }},
	{"brainer_connections_total", counter, "Client connections accepted.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.Connections)) }},
	{"brainer_rejected_connections_total", counter, "Client connections refused because of maxclients or protected mode.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.RejectedConnections)) }},
	{"brainer_unread_connections_closed_total", counter, "Client connections closed because their replies were not read.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.ClosedForOutput)) }},
	{"brainer_client_input_bytes_total", counter, "Bytes received from clients.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.InputBytes)) }},
	{"brainer_client_output_bytes_total", counter, "Bytes sent to clients.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.OutputBytes)) }},
	{"brainer_front_end_panics_total", counter, "Connections that ended by a fault in the program.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.Panics)) }},
	{"brainer_auth_failures_total", counter, "Wrong passwords given.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.AuthFailures)) }},
	{"brainer_auth_limited_total", counter, "Passwords refused without a look, because too many from their address were wrong.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.AuthLimited)) }},
	{"brainer_tls_handshake_failures_total", counter, "TLS handshakes with clients that failed.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.TLSFailures)) }},
	{"brainer_pubsub_channels", gauge, "Channels with a subscriber.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.PubSubChannels)) }},
	{"brainer_pubsub_patterns", gauge, "Patterns with a subscriber.", nil,
		func(f *FrontEnd, out sink) { out.value(float64(f.PubSubPatterns)) }},
}

// nodeRows are computed from a node's own state at the moment of the scrape.
var nodeRows = []row[*NodeStatus]{
	{"brainer_replica_info", gauge, "Always 1; the label is the node's id.", labels{"node"},
		func(s *NodeStatus, out sink) { out.value(1, s.ID) }},
	{"brainer_replica_session_state", gauge, "1 for the state of the node's session with the broker, 0 for the others.", labels{"state"},
		func(s *NodeStatus, out sink) { out.oneHot(SessionStates, s.Session) }},
	{"brainer_replica_sessions_total", counter, "Sessions opened with a broker.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.Sessions)) }},
	{"brainer_replica_epoch", gauge, "Highest epoch that the node has seen.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.Epoch)) }},
	{"brainer_replica_applied_index", gauge, "Last index that the node has applied.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.Applied)) }},
	{"brainer_replica_entries_applied_total", counter, "Entries applied.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.EntriesApplied)) }},
	{"brainer_replica_reads_total", counter, "Reads answered.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.Reads)) }},
	{"brainer_replica_command_panics_total", counter, "Commands that panicked and were answered as an internal error.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.CommandPanics)) }},
	{"brainer_replica_busy_seconds", gauge, "How long the entry that is being applied has been running.", nil,
		func(s *NodeStatus, out sink) { out.value(s.BusySeconds) }},
	{"brainer_replica_keys", gauge, "Keys of this copy.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.Keys)) }},
	{"brainer_replica_used_memory_bytes", gauge, "Memory of this copy, counted logically.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.UsedMemory)) }},
	{"brainer_replica_ids", gauge, "Clients whose last write with an id (BRAINER WITH ID) this copy remembers; beyond 100000 further ones are refused.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.IDs)) }},
	{"brainer_replica_ids_answered_total", counter, "Writes that came again with the same id and were answered from memory.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.IDsAnswered)) }},
	{"brainer_replica_load_keys_done", gauge, "Keys of the snapshot loaded so far; 0 when none is being loaded.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.LoadKeysDone)) }},
	{"brainer_replica_load_keys_expected", gauge, "Keys of the snapshot that is being loaded; 0 when none is.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.LoadKeysTotal)) }},
	{"brainer_replica_load_bytes_done", gauge, "Bytes of the snapshot loaded so far; 0 when none is being loaded.", nil,
		func(s *NodeStatus, out sink) { out.value(float64(s.LoadBytesDone)) }},
}

// buildRows are the same on a broker and on a node.
var buildRows = []row[Build]{
	{"brainer_build_info", gauge, "Always 1; the labels say what is running.", labels{"version", "revision", "goversion"},
		func(b Build, out sink) { out.value(1, b.Version, b.Revision, runtime.Version()) }},
}

// perNode emits one value for each node.
func perNode(of func(*op.NodeStatus) float64) func(*op.Status, sink) {
	return func(s *op.Status, out sink) {
		for i := range s.Nodes {
			out.value(of(&s.Nodes[i]), s.Nodes[i].ID)
		}
	}
}

// perJoin emits one value for each node that joins and has one.
func perJoin(of func(*op.JoinStatus) (float64, bool)) func(*op.Status, sink) {
	return func(s *op.Status, out sink) {
		for i := range s.Nodes {
			if j := s.Nodes[i].Join; j != nil {
				if v, ok := of(j); ok {
					out.value(v, s.Nodes[i].ID)
				}
			}
		}
	}
}

func phase(n *op.NodeStatus) float64 {
	if n.Join != nil {
		for i, p := range op.JoinPhases {
			if p == n.Join.Phase {
				return float64(i)
			}
		}
	}
	return 0
}

func inSync(s *op.Status) (n int) {
	for i := range s.Nodes {
		if s.Nodes[i].InSync {
			n++
		}
	}
	return n
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
