// Package transfer says what a key is on its way from one server to another, and which commands make it there: those that
// any Redis understands. A further type is one row of its table; where keys come from and where they go is others' business.
package transfer
