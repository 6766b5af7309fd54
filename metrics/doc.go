// Package metrics names every metric once and shows them: /metrics, /healthz and /readyz of a broker
// and of a node. What a metric is called, means and is computed from is one row in catalogue.go; the
// collectors, the table in the README and the checks of deploy/ derive from it.
//
// It decides nothing and measures nothing by itself. State comes from op.Status (broker) and
// NodeStatus (node), read once per scrape; what happens too often for that is counted by Broker.
// Keys, clients and sessions are never labels: the number of series is bounded by nodes, commands and
// the states in the code.
package metrics
