package integration

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// namespaces are one network namespace for the broker and one for each node, joined by a bridge: what goes
// wrong there goes wrong in the kernel's TCP, without anything of ours in between.
type namespaces struct {
	t      testing.TB
	prefix string // of all names; its number is this process's
	subnet string
	netem  bool // the kernel can delay and lose packets
}

var ourNamespace = regexp.MustCompile(`\bbx(\d+)(b|n\d+)\b`)

// newNamespaces makes the bridge. They are taken away when the test ends; without the rights to make them it
// is skipped.
func newNamespaces(t testing.TB) *namespaces {
	t.Helper()
	for _, program := range []string{"ip", "tc", "ss"} {
		installed(t, program, "iproute2")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	ns := &namespaces{t: t, prefix: fmt.Sprintf("bx%d", os.Getpid()), subnet: fmt.Sprintf("198.18.%d", os.Getpid()%250)}
	ns.sweep()
	if out, err := sh("ip", "netns", "add", ns.name("b")); err != nil {
		t.Skipf("no right to make network namespaces: %v %s", err, out)
	}
	t.Cleanup(ns.remove)
	if out, err := sh("ip", "link", "add", ns.prefix, "type", "bridge"); err != nil {
		t.Skipf("no right to make a bridge, or none in this kernel: %v %s", err, out)
	}
	ns.do("ip", "addr", "add", ns.subnet+".254/24", "dev", ns.prefix)
	ns.do("ip", "link", "set", ns.prefix, "up")
	ns.wire("b", ns.host("b"))
	if out, err := sh("ip", "netns", "exec", ns.name("b"), "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"); err == nil {
		ns.netem = true
		ns.in("b", "tc", "qdisc", "del", "dev", "lo", "root")
	} else {
		t.Logf("this kernel has no netem: links are neither slow nor lossy (%s)", strings.TrimSpace(out))
	}
	return ns
}

// sweep takes away what a test binary that was killed has left.
func (ns *namespaces) sweep() {
	for _, list := range [][]string{{"netns", "list"}, {"-o", "link", "show", "type", "bridge"}} {
		out, _ := sh("ip", list...)
		for _, m := range regexp.MustCompile(`\bbx(\d+)\w*`).FindAllStringSubmatch(out, -1) {
			pid, _ := strconv.Atoi(m[1])
			if syscall.Kill(pid, 0) == nil {
				continue
			}
			if ourNamespace.MatchString(m[0]) {
				_, _ = sh("ip", "netns", "del", m[0])
			} else {
				_, _ = sh("ip", "link", "del", m[0])
			}
		}
	}
}

func (ns *namespaces) remove() {
	out, _ := sh("ip", "netns", "list")
	for _, name := range ourNamespace.FindAllString(out, -1) {
		if strings.HasPrefix(name, ns.name("b")) || strings.HasPrefix(name, ns.name("n")) {
			_, _ = sh("ip", "netns", "del", name)
		}
	}
	_, _ = sh("ip", "link", "del", ns.prefix)
	if out, _ := sh("ip", "netns", "list"); strings.Contains(out, ns.prefix) {
		ns.t.Errorf("namespaces were left: %s", out)
	}
}

func (ns *namespaces) name(id string) string { return ns.prefix + id }

// host is the address of the broker ("b") or a node ("n1").
func (ns *namespaces) host(id string) string {
	if id == "b" {
		return ns.subnet + ".100"
	}
	return ns.subnet + "." + id[1:]
}

// wire gives a namespace a cable to the bridge and its address.
func (ns *namespaces) wire(id, address string) {
	outer := ns.name(id)
	ns.do("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", ns.name(id))
	ns.do("ip", "link", "set", outer, "master", ns.prefix, "up")
	ns.in(id, "ip", "link", "set", "lo", "up")
	ns.in(id, "ip", "addr", "add", address+"/24", "dev", "eth0")
	ns.in(id, "ip", "link", "set", "eth0", "up")
}

// exec is how a program is started inside.
func (ns *namespaces) exec(id string) []string {
	return []string{"ip", "netns", "exec", ns.name(id)}
}

func (ns *namespaces) in(id string, args ...string) {
	ns.t.Helper()
	ns.do(append(ns.exec(id), args...)...)
}

func (ns *namespaces) do(args ...string) {
	ns.t.Helper()
	if out, err := sh(args[0], args[1:]...); err != nil {
		ns.t.Fatalf("%s: %v %s", strings.Join(args, " "), err, out)
	}
}

func sh(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// netLink is a link between the namespaces of a node and the broker.
type netLink struct {
	ns     *namespaces
	id     string
	held   [2]bool // there is a blackhole route: to the broker, from it
	shaped bool
}

func (ns *namespaces) newLink(id string) *netLink {
	ns.do("ip", "netns", "add", ns.name(id))
	ns.wire(id, ns.host(id))
	return &netLink{ns: ns, id: id}
}

func (l *netLink) endpoint() string { return "tcp://" + l.ns.host("b") + ":9620" }

func (l *netLink) metricsAddr() string { return l.ns.host(l.id) + ":0" }

// hold has the kernel drop what is sent.
func (l *netLink) hold(to, from bool) {
	for i, hole := range [2]struct{ in, address string }{{l.id, l.ns.host("b")}, {"b", l.ns.host(l.id)}} {
		if wanted := [2]bool{to, from}[i]; wanted != l.held[i] {
			l.ns.in(hole.in, "ip", "route", map[bool]string{true: "add", false: "del"}[wanted], "blackhole", hole.address+"/32")
			l.held[i] = wanted
		}
	}
}

// slow needs netem, and has packets overtake one another.
func (l *netLink) slow(delay time.Duration) {
	l.shape("netem", "delay", delay.String(), (delay / 4).String())
}

// lossy needs netem.
func (l *netLink) lossy(percent int) { l.shape("netem", "loss", fmt.Sprintf("%d%%", percent)) }

func (l *netLink) throttle(perSecond int) {
	l.shape("tbf", "rate", fmt.Sprintf("%dbit", 8*perSecond), "burst", "16kb", "latency", "400ms")
}

func (l *netLink) shape(args ...string) {
	l.ns.in(l.id, append([]string{"tc", "qdisc", "replace", "dev", "eth0", "root"}, args...)...)
	l.ns.do(append([]string{"tc", "qdisc", "replace", "dev", l.ns.name(l.id), "root"}, args...)...)
	l.shaped = true
}

// halfOpen: the broker's machine never gets the word that the connections are gone.
func (l *netLink) halfOpen() {
	l.hold(true, false)
	l.cut()
}

// cut resets every connection. (ss complains even when it has done it; how many it has ended it prints.)
func (l *netLink) cut() {
	_, _ = sh("ip", "netns", "exec", l.ns.name(l.id), "ss", "-K", "dst", l.ns.host("b"))
}

func (l *netLink) heal() {
	l.hold(false, false)
	if l.shaped {
		l.ns.in(l.id, "tc", "qdisc", "del", "dev", "eth0", "root")
		l.ns.do("tc", "qdisc", "del", "dev", l.ns.name(l.id), "root")
		l.shaped = false
	}
}

// TestChaosInNamespaces is TestChaos with partitions of the kernel's own, between processes that have a
// network each.
func TestChaosInNamespaces(t *testing.T) {
	t.Parallel()
	ns := newNamespaces(t)
	x := newChaos(t)
	x.endpoint = "tcp://" + ns.host("b") + ":9620"
	x.addr, x.metrics = ns.host("b")+":6379", ns.host("b")+":9621"
	x.within = map[string][]string{"broker": ns.exec("b")}
	x.startBroker(append(x.flags(), "--allow-plain-tcp", "--protected-mode", "no")...)
	for i := range chaosNodes {
		id := nodeName(i + 1)
		x.links[id] = ns.newLink(id)
		x.within[id] = ns.exec(id)
		x.join(id, "--allow-plain-tcp")
	}
	x.delays = ns.netem
	x.rage(slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
		return !f.needs.can(false, ns.netem)
	}), *chaosFor/4)
}
