package server

import "brainer/resp"

// help answers a HELP subcommand: Redis's frame around the lines.
func help(text helpText) func(*client, [][]byte, *resp.Writer) {
	return func(_ *client, _ [][]byte, w *resp.Writer) {
		w.Array(len(text.lines) + 3)
		w.Simple(text.command + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
		for _, line := range text.lines {
			w.Simple(line)
		}
		w.Simple("HELP")
		w.Simple("    Print this help.")
	}
}

type helpText struct {
	command string
	lines   []string
}

var (
	clientHelp = helpText{"CLIENT", []string{
		"GETNAME",
		"    Return the name of the current connection.",
		"ID",
		"    Return the ID of the current connection.",
		"INFO",
		"    Return information about the current client connection.",
		"KILL <ip:port>",
		"    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]",
		"    Kill connections. Options are:",
		"    * ADDR (<ip:port>|<unixsocket>:0)",
		"      Kill connections made from the specified address",
		"    * LADDR (<ip:port>|<unixsocket>:0)",
		"      Kill connections made to specified local address",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
		"      Kill connections by type.",
		"    * USER <username>",
		"      Kill connections authenticated by <username>.",
		"    * SKIPME (YES|NO)",
		"      Skip killing current connection (default: yes).",
		"LIST [options ...]",
		"    Return information about client connections. Options:",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
		"      Return clients of specified type.",
		"    * ID <id> [<id>...]",
		"      Return clients of specified IDs only.",
		"NO-EVICT (ON|OFF)",
		"    Protect current client connection from eviction.",
		"NO-TOUCH (ON|OFF)",
		"    Will not touch LRU/LFU stats when this mode is on.",
		"REPLY (ON|OFF|SKIP)",
		"    Control the replies sent to the current connection.",
		"SETINFO <option> <value>",
		"    Set client meta attr. Options are:",
		"    * LIB-NAME: the client lib name.",
		"    * LIB-VER: the client lib version.",
		"SETNAME <name>",
		"    Assign the name <name> to the current connection.",
	}}
	commandHelp = helpText{"COMMAND", []string{
		"(no subcommand)",
		"    Return details about all Redis commands.",
		"COUNT",
		"    Return the total number of commands in this Redis server.",
		"LIST",
		"    Return a list of all commands in this Redis server.",
		"INFO [<command-name> ...]",
		"    Return details about multiple Redis commands.",
		"    If no command names are given, documentation details for all",
		"    commands are returned.",
		"DOCS [<command-name> ...]",
		"    Return documentation details about multiple Redis commands.",
		"    If no command names are given, documentation details for all",
		"    commands are returned.",
		"GETKEYS <full-command>",
		"    Return the keys from a full Redis command.",
		"GETKEYSANDFLAGS <full-command>",
		"    Return the keys and the access flags from a full Redis command.",
	}}
	configHelp = helpText{"CONFIG", []string{
		"GET <pattern>",
		"    Return parameters matching the glob-like <pattern> and their values.",
		"SET <directive> <value>",
		"    Set the configuration <directive> to <value>.",
		"RESETSTAT",
		"    Reset statistics reported by the INFO command.",
		"REWRITE",
		"    Rewrite the configuration file.",
	}}
	pubsubHelp = helpText{"PUBSUB", []string{
		"CHANNELS [<pattern>]",
		"    Return the currently active channels matching a <pattern> (default: '*').",
		"NUMPAT",
		"    Return number of subscriptions to patterns.",
		"NUMSUB [<channel> ...]",
		"    Return the number of subscribers for the specified channels, excluding",
		"    pattern subscriptions(default: no channels).",
	}}
	brainerHelp = helpText{"BRAINER", []string{
		"ACK [ALL|PRIMARY|<nodes>]",
		"    Set when this connection's writes are acknowledged, or show it.",
		"WITH [ACK ALL|PRIMARY|<nodes>] [ID <client> <number>] <command> [<arg> ...]",
		"    Run one command under another acknowledgement rule, or a write (or EXEC)",
		"    under an id: sent again with the same id it is not run again, its first",
		"    reply is given; an older number of the client is refused.",
		"FORGET <node>",
		"    Drop a node that is not coming back from the lists and the metrics.",
		"HOTKEYS [COUNT <count>]",
		"    The keys that were asked for most in the last second, about: database,",
		"    key, reads, writes, and whether their reads are spread over the nodes.",
		"NODES",
		"    List the nodes, their states and how far each has applied.",
		"RECOVER FROM <node> | EMPTY",
		"    With no copy in sync: take this node's for the truth, or begin empty.",
		"SNAPSHOT BEGIN|NEXT|END",
		"    The data as it was at one moment, as commands, a part for each call.",
		"STATUS [JSON]",
		"    Show the order, the log window and the nodes.",
		"VERIFY",
		"    Begin to compare what the nodes hold; STATUS tells how far it is.",
	}}
)
