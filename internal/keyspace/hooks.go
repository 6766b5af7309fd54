package keyspace

// Hooks are told what happens to the keyspace, after it happened. Any may be nil. They must not change
// the keyspace; key is valid during the call.
type Hooks struct {
	Changed func(db int, key []byte) // a mutator changed the key: value, deadline or existence
	Expired func(db int, key []byte) // the key was freed because its deadline had passed
	Flushed func(db int)             // the database was emptied
	Swapped func(a, b int)           // the databases changed places
}
