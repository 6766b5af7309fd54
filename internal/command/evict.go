package command

import "brainer/resp"

// Unlink is the command that removes keys, as nodes execute it.
func Unlink(keys [][]byte) []byte {
	args := append(make([][]byte, 0, len(keys)+1), []byte("UNLINK"))
	return resp.AppendCommand(nil, append(args, keys...)...)
}
