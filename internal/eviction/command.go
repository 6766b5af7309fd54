package eviction

import "brainer/resp"

// Command is the command that removes keys, as nodes execute it.
func Command(keys [][]byte) []byte {
	args := append(make([][]byte, 0, len(keys)+1), []byte("UNLINK"))
	return resp.AppendCommand(nil, append(args, keys...)...)
}
