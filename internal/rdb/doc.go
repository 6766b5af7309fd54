// Package rdb reads Redis's RDB files (https://rdb.fnordig.de and rdb.c): of any version up to 11, the data of the types that
// can be made elsewhere (package transfer), in every encoding, piece by piece; the others are named and passed over. What is
// damaged, cut off or of a later version is an error; memory is taken as bytes arrive, never as a length announces.
package rdb
