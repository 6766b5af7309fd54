// Package integration tests the binaries as their users meet them: real processes, real clients
// (go-redis, redis-cli, Python), a real Prometheus and a real redis-server beside them, and real
// faults (SIGKILL, SIGSTOP, full tables of descriptors). What a single package can show is shown there.
//
// The files: main_test.go builds the binaries; process_test.go runs a process and keeps its log;
// cluster_test.go puts a broker and nodes together; workload_test.go writes under faults and knows what
// was acknowledged; history_test.go has clients whose histories porcupine looks through; openload_test.go has
// clients whose requests are due at set times; badlink_test.go and namespaces_test.go are links that can go
// wrong. The others are tests, each about what its name says.
//
//	go test ./integration                 everything, about four minutes
//	go test ./integration -short          without the long slices
//	go test ./integration -race           the binaries are built with the race detector too
//	BRAINER_TEST_LOGS=DIR go test ...     keeps the log of every process in DIR
package integration
