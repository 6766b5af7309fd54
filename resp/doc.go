// Package resp reads and writes the Redis serialization protocol, versions 2 and 3: commands in,
// replies out, and slicing replies without decoding them. It knows bytes, not commands.
package resp
