package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/internal/wire"
	"brainer/resp"
)

// localClient is a client at the node's own endpoint: it reads this copy, which may be behind.
type localClient struct {
	proto int
	db    int
}

const (
	localClientsMax = 1000
	localFrameMax   = 256 << 10 // a longer reply travels in several messages
)

// serveLocal answers what has arrived at the node's own endpoint.
func (n *Node) serveLocal() {
	if n.own == nil {
		return
	}
	for i := 0; i < 64; i++ {
		peer, body, err := n.own.Recv()
		if err != nil {
			return
		}
		if wire.IsFrame(body) {
			continue
		}
		c := n.clients[peer]
		if c == nil {
			if len(n.clients) >= localClientsMax {
				clear(n.clients) // they keep no more than a database and a RESP version
			}
			c = &localClient{proto: 2}
			n.clients[peer] = c
		}
		for reply := n.answerLocal(c, body); len(reply) > 0; {
			piece := min(len(reply), localFrameMax)
			if n.own.Send(peer, reply[:piece]) != nil {
				break // the client has gone
			}
			reply = reply[piece:]
		}
	}
}

// answerLocal executes the commands of one message.
func (n *Node) answerLocal(c *localClient, body []byte) []byte {
	var w resp.Writer
	rd := resp.NewReader(bytes.NewReader(body))
	for {
		err := rd.Fill()
		for {
			cmd, ok, perr := rd.Next()
			if perr != nil {
				w.Error("ERR Protocol error: " + perr.Error())
				return w.B
			}
			if !ok {
				break
			}
			if len(cmd.Args) > 0 {
				w.Proto = c.proto
				n.executeLocal(c, &w, cmd)
			}
		}
		if err != nil {
			return w.B
		}
	}
}

func (n *Node) executeLocal(c *localClient, w *resp.Writer, cmd resp.Command) {
	table := n.cfg.Replica.Table
	row := table.Find(cmd.Args)
	name := strings.ToLower(string(cmd.Args[0]))
	switch {
	case name == "brainer" && len(cmd.Args) >= 2 && strings.EqualFold(string(cmd.Args[1]), "status"):
		n.writeStatus(w, len(cmd.Args) > 2 && strings.EqualFold(string(cmd.Args[2]), "json"))
		return
	case name == "quit":
		w.OK()
		return
	case name == "select" && len(cmd.Args) == 2:
		db, err := strconv.Atoi(string(cmd.Args[1]))
		switch {
		case err != nil:
			w.Error(command.ErrNotInteger)
		case db < 0 || db >= command.Databases:
			w.Error(command.ErrDBIndex)
		default:
			c.db = db
			w.OK()
		}
		return
	case name == "hello":
		if len(cmd.Args) > 1 {
			switch string(cmd.Args[1]) {
			case "2":
				c.proto = 2
			case "3":
				c.proto = 3
			default:
				w.Error("NOPROTO unsupported protocol version")
				return
			}
		}
		w.Proto = c.proto
		w.Map(2)
		w.BulkString("server")
		w.BulkString("brainer-node")
		w.BulkString("proto")
		w.Int(int64(c.proto))
		return
	case row == nil:
		w.Error("ERR unknown command '" + name + "', a node's own endpoint answers reads and BRAINER STATUS")
		return
	case !row.ArityOK(len(cmd.Args)):
		w.Error(command.ErrArity(row.Name))
		return
	case row.Flags&command.Write != 0 || row.Name == "brainer|with" || row.Name == "publish":
		w.Error("READONLY You can't write against a node's own endpoint: send it to the broker.")
		return
	case row.Run == nil || row.Flags&command.Internal != 0:
		w.Error("ERR '" + row.Name + "' is not answered at a node's own endpoint")
		return
	}
	if n.replica.Restoring() {
		w.Error("LOADING Redis is loading the dataset in memory")
		return
	}
	n.state.stepBeganNs.Store(time.Now().UnixNano()) // the broker is told that we are busy, not dead
	defer n.state.stepBeganNs.Store(0)
	w.Raw(n.replica.ReadLocal(n.cfg.NowMs(), uint8(c.db), uint8(c.proto), cmd.Raw))
}

// writeStatus describes this node alone, in the form of the broker's status.
func (n *Node) writeStatus(w *resp.Writer, asJSON bool) {
	s := n.OwnStatus(n.replica.Status().KeysTotal)
	if asJSON {
		b, err := json.Marshal(s)
		if err != nil {
			w.Error(command.ErrInternal)
			return
		}
		w.Bulk(b)
		return
	}
	x := s.Nodes[0]
	w.BulkString(fmt.Sprintf("node:%s\r\nstate:%s\r\nin_sync:%v\r\nepoch:%d\r\napplied:%d\r\nsafe:%d\r\nkeys:%d\r\nused_memory:%d\r\n",
		x.ID, x.State, x.InSync, s.Epoch, x.Applied, s.Safe, x.Keys, x.UsedMemory))
}

// OwnStatus is this node in the form of the broker's status. The owner goroutine calls it.
func (n *Node) OwnStatus(keysTotal uint64) op.Status {
	s := n.replica.Status()
	x := op.NodeStatus{ID: s.NodeID, Endpoint: n.Endpoint(), Incarnation: n.cfg.Replica.Incarnation, DataID: s.DataID,
		Up: true, InSync: s.InSync, Embedded: n.cfg.Replica.Embedded, Applied: s.Position.Index, Keys: s.Keys,
		UsedMemory: s.UsedBytes, IDs: s.IDs, IDsAnswered: s.IDsAnswered, State: "live", Software: n.cfg.Replica.Software, Protocol: int(n.replica.Version())}
	switch {
	case s.Loading:
		x.State = "loading"
		x.Join = &op.JoinStatus{Phase: "snapshot", KeysDone: int64(s.KeysDone), KeysTotal: int64(keysTotal), EtaSeconds: -1}
	case s.InSync:
	case n.state.session.Load() == 0:
		x.State, x.Reason = "down", "no broker answers at "+n.cfg.Broker
		if n.refused != "" && n.missed == 0 {
			x.Reason = n.refused
		}
	default:
		x.State = "replay"
	}
	return op.Status{State: x.State, Epoch: s.Epoch, Index: s.Position.Index, Safe: s.Safe, NowMs: n.cfg.NowMs(),
		Nodes: []op.NodeStatus{x}}
}
