// Package archtest keeps the layout true: which package may reach which, where cgo is needed, and
// that the deterministic cores take time, chance and concurrency as arguments. It is tests alone;
// what is allowed is written in rules_test.go.
package archtest
