//go:build linux

// Command bench measures Brainer beside redis-server and nutcracker on this machine and prints a
// table of ratios. README.md tells how to read it. Package load asks, package system starts and
// ends what is asked; here are the rows, their arithmetic and the report.
package main
