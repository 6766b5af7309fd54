// Package deploy is how to run Brainer: an image, compose, Kubernetes, systemd, Prometheus' rules and
// Grafana's dashboard. It is files and the tests that keep them true: every flag, port and metric that
// they name exists, the rules do what they say, the image's build commands build.
package deploy
