//go:build linux

// Package load drives one RESP server from many connections and measures what comes back:
// commands per second and how long each took. It is made to cost little, because it shares the
// machine with what it measures: one thread with epoll serves its connections, requests are copied
// from templates, replies are counted and not decoded. It knows the replies of GET, SET and the
// integers, and leaves processes and their CPU to package system.
package load
