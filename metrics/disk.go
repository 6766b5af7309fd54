package metrics

// Disk is what a node keeps beside its memory; nil when it keeps nothing.
type Disk struct {
	Stopped       bool  // it failed, and nothing is kept any more
	LogBytes      int64 // since the last snapshot
	SnapshotBytes int64
	WaitingBytes  int64 // given to the disk and not written
	Syncs         uint64
	SyncSeconds   float64
	Errors        uint64
	Snapshots     uint64 // completed

	// While what was kept is loaded, else 0.
	LoadDone, LoadTotal int64
}

// diskRows are of a node that keeps its copy, on its own /metrics or on that of the broker whose process it is in.
var diskRows = []row[*Disk]{
	{"brainer_disk_stopped", gauge, "1 when the disk has failed and the copy is not kept any more (--storage disk; so are all brainer_disk_*).", nil,
		onDisk(func(d *Disk) float64 { return oneIf(d.Stopped) })},
	{"brainer_disk_log_bytes", gauge, "Bytes of the log on disk since the last snapshot.", nil,
		onDisk(func(d *Disk) float64 { return float64(d.LogBytes) })},
	{"brainer_disk_snapshot_bytes", gauge, "Bytes of the last snapshot on disk.", nil,
		onDisk(func(d *Disk) float64 { return float64(d.SnapshotBytes) })},
	{"brainer_disk_waiting_bytes", gauge, "Bytes that wait to be written to the disk; at 64 MB the node waits for it.", nil,
		onDisk(func(d *Disk) float64 { return float64(d.WaitingBytes) })},
	{"brainer_disk_syncs_total", counter, "Times that the log was synced (--fsync).", nil,
		onDisk(func(d *Disk) float64 { return float64(d.Syncs) })},
	{"brainer_disk_sync_seconds_total", counter, "Time that syncing the log took.", nil,
		onDisk(func(d *Disk) float64 { return d.SyncSeconds })},
	{"brainer_disk_errors_total", counter, "Errors of the disk; the first one stops it (--on-disk-error).", nil,
		onDisk(func(d *Disk) float64 { return float64(d.Errors) })},
	{"brainer_disk_snapshots_total", counter, "Snapshots that have replaced the log on disk.", nil,
		onDisk(func(d *Disk) float64 { return float64(d.Snapshots) })},
	{"brainer_disk_load_bytes_done", gauge, "Bytes on disk that are loaded, while the node starts; 0 when it has.", nil,
		onDisk(func(d *Disk) float64 { return float64(d.LoadDone) })},
	{"brainer_disk_load_bytes_expected", gauge, "Bytes on disk that are to be loaded, while the node starts; 0 when it has.", nil,
		onDisk(func(d *Disk) float64 { return float64(d.LoadTotal) })},
}

func onDisk(of func(*Disk) float64) func(*Disk, sink) {
	return func(d *Disk, out sink) {
		if d != nil {
			out.value(of(d))
		}
	}
}
