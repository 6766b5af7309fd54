//go:build linux

// Package system starts what is measured: Brainer and its peers, each from processes of its own,
// in a temporary directory, on addresses that the operating system chose. It reads their CPU and
// memory from /proc and ends them all, also when this program is killed. What is asked of them is
// package load's business.
package system
