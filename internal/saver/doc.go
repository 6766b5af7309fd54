// Package saver keeps snapshots in a directory: one now and then, or when somebody asks for it, and so many of them. It reads the
// data as anybody does who saves a snapshot (op.SnapshotReader) and leaves how it is kept in a file to package snapfile.
package saver
