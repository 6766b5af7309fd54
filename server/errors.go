package server

import (
	"fmt"

	"brainer/internal/op"
)

// Every error text of the server's own that a client can see; those of executing a command are
// package command's, those of the order the broker's.
const (
	errMaxClients   = "ERR max number of clients reached"
	errNoAuth       = "NOAUTH Authentication required."
	errWrongPass    = "WRONGPASS invalid username-password pair or user is disabled."
	errAuthLimited  = "ERR too many wrong passwords from this address: AUTH is refused until it has been quiet for a while"
	errNoPassword   = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errHelloAuth    = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	errProtoVersion = "ERR Protocol version is not an integer or out of range"
	errNoProto      = "NOPROTO unsupported protocol version"
	errClientName   = "ERR Client names cannot contain spaces, newlines or special characters."

	errNoMulti       = "ERR Command not allowed inside a transaction"
	errNestedMulti   = "ERR MULTI calls can not be nested"
	errWatchInMulti  = "ERR WATCH inside MULTI is not allowed"
	errExecNoMulti   = "ERR EXEC without MULTI"
	errDiscardNoMult = "ERR DISCARD without MULTI"
	errOOM           = "OOM command not allowed when used memory > 'maxmemory'."
	errExecRejected  = "EXECABORT Transaction discarded because of: "
	errExecAbort     = "EXECABORT Transaction discarded because of previous errors."

	errTransactionTooLarge = "ERR the transaction exceeds client-query-buffer-limit"

	errNoSuchClient    = "ERR No such client"
	errClientID        = "ERR Invalid client ID"
	errClientIDRange   = "ERR client-id should be greater than 0"
	errTimeoutInteger  = "ERR timeout is not an integer or out of range"
	errTimeoutNegative = "ERR timeout is negative"

	errGetKeysCommand = "ERR Invalid command specified"
	errGetKeysArity   = "ERR Invalid number of arguments specified for command"
	errGetKeysNone    = "ERR The command has no key arguments"

	errRecoverUsage  = "ERR syntax: BRAINER RECOVER FROM <node> | EMPTY"
	errNoOperator    = "ERR there is nothing to operate behind this server"
	errNoSaver       = "ERR nothing keeps snapshots here"
	errSaveFailed    = "ERR the snapshot could not be saved: see the broker's log"
	errNoSnapshot    = "ERR no snapshot is being read: BRAINER SNAPSHOT BEGIN"
	errCountPositive = "ERR COUNT must be greater than 0"
	errAckRule       = "ERR the acknowledgement rule is all, primary or a number of nodes from 1 to 32767"
	errWithTwice     = "ERR BRAINER WITH takes ACK and ID once each"
	errWithNested    = "ERR BRAINER WITH cannot be nested"
	errWithMissing   = "ERR BRAINER WITH needs a command"
	errWithIDWrite   = "ERR BRAINER WITH ID is for commands that change data, and EXEC: others may simply be sent again"
	errWithIDOrder   = "ERR BRAINER WITH ID cannot be given to a transaction with PUBLISH or SUBSCRIBE: who receives is not data"
)

var errWithIDRange = fmt.Sprintf("ERR the ID of BRAINER WITH is a client name of at most %d bytes and a number", op.ClientBytesMax)

func errSubscriberMode(name string) string {
	return "ERR Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
}

func errHelloOption(option []byte) string {
	return "ERR Syntax error in HELLO option '" + string(option) + "'"
}
func errClientType(name []byte) string { return "ERR Unknown client type '" + string(name) + "'" }
func errNoSuchUser(name []byte) string { return "ERR No such user '" + string(name) + "'" }
func errLibInfo(attr string) string {
	return "ERR " + attr + " cannot contain spaces, newlines or special characters."
}
func errUnrecognizedOption(option []byte) string {
	return "ERR Unrecognized option '" + string(option) + "'"
}

const errNoConfigFile = "ERR The server is running without a config file"

func errConfigUnknown(name string) string {
	return "ERR Unknown option or number of arguments for CONFIG SET - '" + name + "'"
}
func errConfigSet(name, why string) string {
	return "ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + why
}

func errSubcommandArity(sub, command string) string {
	return "ERR unknown subcommand or wrong number of arguments for '" + sub + "'. Try " + command + " HELP."
}

// configError says why CONFIG SET failed.
type configError string

func (e configError) Error() string { return string(e) }

const (
	errNotInteger configError = "argument couldn't be parsed into an integer"
	errYesNo      configError = "argument must be 'yes' or 'no'"
	errNotMemory  configError = "argument must be a memory value"
	errImmutable  configError = "can't set immutable config"
	errDuplicate  configError = "duplicate parameter"
	errLimitArity configError = "Wrong number of arguments in buffer limit configuration."
	errLimitClass configError = "Invalid client class specified in buffer limit configuration."
	errLimitValue configError = "Error in hard, soft or soft_seconds setting in buffer limit configuration."
)

func errBetween(least, most int64) configError {
	return configError(fmt.Sprintf("argument must be between %d and %d inclusive", least, most))
}

func errDescriptors(affordable int) configError {
	return configError(fmt.Sprintf("The operating system is not able to handle the specified number of clients, try with %d", affordable))
}
