package replica

import "fmt"

// What clients are told about the ids of their writes. None begins as an error that libraries retry.
const errIDsFull = "ERR nothing was executed: the outcomes of too many clients are kept (BRAINER WITH ID), try later"

func errIDOld(number, last uint64) string {
	return fmt.Sprintf("ERR stale request: nothing was executed, this client's number %d is older than %d", number, last)
}

func errIDReplyGone(number uint64, size int) string {
	return fmt.Sprintf("ERR number %d was applied before; its reply of %d bytes was too large to be kept", number, size)
}
