package server

import (
	"fmt"
	"strconv"
	"time"

	"brainer/resp"
)

func serverHandlers() map[string]handler {
	return map[string]handler{
		"time":  {run: serverTime},
		"role":  {run: role},
		"wait":  {run: wait, settled: true},
		"debug": {run: debugCommand},
		"info":  {run: info, settled: true},
	}
}

func serverTime(_ *client, _ [][]byte, w *resp.Writer) {
	now := time.Now()
	w.Array(2)
	w.BulkString(strconv.FormatInt(now.Unix(), 10))
	w.BulkString(fmt.Sprint(now.Nanosecond() / 1000))
}

// role answers as a Redis primary would: the order's index is the offset, the nodes besides the
// first are its replicas (R12).
func role(c *client, _ [][]byte, w *resp.Writer) {
	st := c.srv.backend.Status()
	replicas := replicasOf(st)
	w.Array(3)
	w.BulkString("master")
	w.Int(int64(st.Index))
	w.Array(len(replicas))
	for _, r := range replicas {
		host, port := splitEndpoint(r.Endpoint)
		w.Array(3)
		w.BulkString(host)
		w.BulkString(port)
		w.BulkString(strconv.FormatUint(r.Applied, 10))
	}
}

func debugCommand(_ *client, args [][]byte, w *resp.Writer) {
	if equalFold(args[1], "sleep") && len(args) == 3 {
		seconds, err := strconv.ParseFloat(string(args[2]), 64)
		if err == nil && seconds >= 0 && seconds <= 3600 {
			time.Sleep(time.Duration(seconds * float64(time.Second))) // this connection only
			w.OK()
			return
		}
	}
	w.Error(errSubcommandArity(string(args[1][:min(len(args[1]), 128)]), "DEBUG"))
}
