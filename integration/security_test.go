package integration

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"brainer/internal/certtest"
	"brainer/internal/op"
)

// keyring is a directory of key pairs made with brainer-cli keygen.
type keyring struct {
	t      testing.TB
	dir    string
	public map[string]string
}

func newKeyring(t testing.TB, names ...string) *keyring {
	t.Helper()
	k := &keyring{t: t, dir: t.TempDir(), public: map[string]string{}}
	for _, name := range names {
		out, code := cli(t, "keygen", filepath.Join(k.dir, name))
		if code != 0 {
			t.Fatalf("keygen %s: exit code %d, %s", name, code, out)
		}
		k.public[name] = strings.TrimSpace(out)
	}
	return k
}

func (k *keyring) key(name string) string { return filepath.Join(k.dir, name+".key") }
func (k *keyring) pub(name string) string { return filepath.Join(k.dir, name+".pub") }

// allow makes a list of allowed keys; each line is a role, the name of a pair, and perhaps a node's id.
func (k *keyring) allow(file string, lines ...string) string {
	k.t.Helper()
	var b strings.Builder
	for _, line := range lines {
		words := strings.Fields(line)
		words[1] = k.public[words[1]]
		b.WriteString(strings.Join(words, " ") + "\n")
	}
	path := filepath.Join(k.dir, file)
	must(k.t, os.WriteFile(path+".new", []byte(b.String()), 0o600))
	must(k.t, os.Rename(path+".new", path))
	return path
}

// neverSaid looks for secrets in what processes print.
func (k *keyring) neverSaid(where string, output string) {
	k.t.Helper()
	for name := range k.public {
		b, err := os.ReadFile(k.key(name))
		must(k.t, err)
		secret := regexp.MustCompile(`(?m)^secret (\S+)$`).FindStringSubmatch(string(b))
		if secret == nil {
			k.t.Fatalf("%s.key has no secret", name)
		}
		if strings.Contains(output, secret[1]) {
			k.t.Errorf("%s says the secret key of %s", where, name)
		}
	}
}

// counter reads a counter from the broker's /metrics.
func (c *cluster) counter(series string) float64 {
	c.t.Helper()
	_, body := c.page("/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(body)
	if m == nil {
		c.t.Fatalf("no %s in /metrics", series)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	must(c.t, err)
	return v
}

func (c *cluster) awaitCounted(series string) {
	c.t.Helper()
	await(c.t, series+" counts", func() (bool, string) {
		v := c.counter(series)
		return v > 0, fmt.Sprint(v)
	})
}

func TestKeysBetweenBrokerNodesAndClients(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, "broker", "n1", "n2", "app", "stranger")
	c := newCluster(t)
	list := k.allow("broker-allows", "node n1 n1", "node n2", "client app")
	c.startBroker("--embedded=false", "--broker", "tcp://127.0.0.1:*", "--curve-key", k.key("broker"), "--curve-allowed-keys", list)
	broker := c.broker.awaitLog(`msg="broker starts".* broker=(\S+)`)[1]
	k.allow("n1-allows", "client app")
	node := func(id, pair string, more ...string) *process {
		return c.startNode(id, append([]string{"--broker", broker, "--curve-key", k.key(pair), "--curve-server-key", k.pub("broker")}, more...)...)
	}
	n1 := node("n1", "n1", "--node-endpoint", "tcp://127.0.0.1:*", "--curve-allowed-keys", filepath.Join(k.dir, "n1-allows"))
	c.awaitNodes("n1")
	own := n1.awaitLog(`msg="node starts".* endpoint=(\S+)`)[1]

	as := func(pair, server string) []string {
		return []string{"--curve-key", k.key(pair), "--curve-server-key", k.pub(server)}
	}
	for _, test := range []struct {
		name  string
		flags []string
		args  []string
		want  string
		code  int
	}{
		{"the right key", as("app", "broker"), []string{broker, "SET", "k", "v"}, "OK", 0},
		{"the right key again", as("app", "broker"), []string{broker, "GET", "k"}, "v", 0},
		{"at the node", as("app", "n1"), []string{own, "GET", "k"}, "v", 0},
		{"an unknown key", as("stranger", "broker"), []string{broker, "GET", "k"}, "our key is refused", 3},
		{"an unknown key at the node", as("stranger", "n1"), []string{own, "GET", "k"}, "our key is refused", 3},
		{"another's key for the broker's", as("app", "stranger"), []string{broker, "GET", "k"}, "--curve-server-key is not the key", 3},
		{"no key", nil, []string{broker, "GET", "k"}, "keys are asked for", 3},
		{"no key at the node", nil, []string{own, "GET", "k"}, "keys are asked for", 3},
		{"a node's key for a client's", append(as("n1", "broker"), "--timeout", "500ms"), []string{broker, "GET", "k"}, "no reply", 3},
		{"half of what is needed", []string{"--curve-key", k.key("app")}, []string{broker, "GET", "k"}, "--curve-key and --curve-server-key go together", 2},
	} {
		out, code := cli(t, append(test.flags, test.args...)...)
		if code != test.code || !strings.Contains(out, test.want) || strings.Contains(out, "\n") {
			t.Errorf("%s: %q, exit code %d; want %q, %d", test.name, out, code, test.want, test.code)
		}
		k.neverSaid(test.name, out)
	}

	stranger := node("n3", "stranger")
	stranger.awaitLog(`msg="not let in by the broker".*our key is refused`)
	c.awaitCounted(`brainer_link_refusals_total{reason="unknown_key"}`)
	c.broker.awaitLog(`msg="connection refused: its key is not on the list.*addr=127.0.0.1 key=`)
	c.awaitCounted(`brainer_link_refusals_total{reason="handshake"}`)
	stranger.kill()

	roles := c.counter(`brainer_link_refusals_total{reason="role"}`)
	if roles == 0 {
		t.Error("a node's key that sends a command is not counted")
	}
	for id, pair := range map[string]string{"n7": "n1", "n8": "app"} { // another's id; a client's key
		p := node(id, pair)
		await(t, pair+" is not let in as "+id, func() (bool, string) {
			now := c.counter(`brainer_link_refusals_total{reason="role"}`)
			return now > roles, fmt.Sprint(now)
		})
		p.kill()
		roles = c.counter(`brainer_link_refusals_total{reason="role"}`)
	}
	node("n2", "n2") // any id is right for it
	s := c.awaitNodes("n1", "n2")
	if len(s.Nodes) != 2 {
		t.Errorf("nodes: %s", summary(s))
	}

	// A key that is taken off the list is cut off, the node that has it too.
	k.allow("broker-allows", "node n2", "client app")
	c.awaitNodes("n2")
	if v := c.do("GET", "k"); v != "v" {
		t.Errorf("GET k: %v", v)
	}
	k.allow("broker-allows", "node n1 n1", "node n2", "client app")
	c.awaitNodes("n1", "n2")
	k.neverSaid("the broker's log", c.broker.output())
	k.neverSaid("the node's log", n1.output())
}

func TestTheEmbeddedNodeNeedsNoKey(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, "broker", "app")
	list := k.allow("broker-allows", "client app")
	c := startAlone(t, "--broker", "tcp://127.0.0.1:*", "--curve-key", k.key("broker"), "--curve-allowed-keys", list)
	c.do("SET", "k", "v")
	c.awaitStatus("the embedded node is in sync", func(s op.Status) bool { return len(inSync(s)) == 1 })
}

func TestKeygenReplacesNothing(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, "broker")
	before, err := os.ReadFile(k.key("broker"))
	must(t, err)
	if info, err := os.Stat(k.key("broker")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if out, code := cli(t, "keygen", filepath.Join(k.dir, "broker")); code != 1 || !strings.Contains(out, "exists already") || strings.Contains(out, "\n") {
		t.Errorf("again: %q, exit code %d", out, code)
	}
	if after, err := os.ReadFile(k.key("broker")); err != nil || !bytes.Equal(before, after) {
		t.Error("the key was replaced")
	}
	must(t, os.Chmod(k.key("broker"), 0o644))
	out, code := run(t, binary("run_broker"), "--broker", "tcp://127.0.0.1:*", "--curve-key", k.key("broker"), "--curve-allowed-keys", k.pub("broker"))
	if code != 1 || !strings.Contains(out, "chmod 600") || strings.Contains(out, "\n") {
		t.Errorf("a key file for everybody: %q, exit code %d", out, code)
	}
}

// TestAnExposedEndpointNeedsKeys: one line that names the flags, and a flag for who knows better.
func TestAnExposedEndpointNeedsKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"run_broker", "--broker", "tcp://0.0.0.0:*", "--state-dir", dir, "--listen", "127.0.0.1:0", "--metrics", ""},
		{"run_broker", "--broker", "tcp://*:*", "--state-dir", dir, "--listen", "127.0.0.1:0", "--metrics", ""},
		{"run_node", "--node-endpoint", "tcp://0.0.0.0:*", "--broker", "ipc://" + dir + "/b"},
		{"run_node", "--node-endpoint", "ipc://" + dir + "/n", "--broker", "tcp://broker.example:9620"},
	} {
		out, code := run(t, binary(args[0]), args[1:]...)
		if code != 1 || strings.Contains(out, "\n") || !strings.Contains(out, "--curve-key") || !strings.Contains(out, "--allow-plain-tcp") {
			t.Errorf("%q: exit code %d, %q", args, code, out)
		}
	}
	c := newCluster(t)
	c.startBroker("--embedded=false", "--broker", "tcp://0.0.0.0:*", "--allow-plain-tcp")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(c.broker.awaitLog(`msg="broker starts".* broker=(\S+)`)[1], "tcp://"))
	must(t, err)
	c.startNode("n1", "--broker", "tcp://127.0.0.1:"+port)
	c.awaitNodes("n1")
}

// elsewhere is an address of this machine that is not loopback: who dials it comes from it.
func elsewhere(t testing.TB) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

// converse sends input and QUIT, and returns all that is answered.
func converse(t testing.TB, addr, input string) string {
	t.Helper()
	conn := dialRaw(t, addr)
	if _, err := io.WriteString(conn, input+"QUIT\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(b), err)
	}
	return string(b)
}

func TestProtectedModeAndPasswords(t *testing.T) {
	t.Parallel()
	host := elsewhere(t)
	c := newCluster(t)
	c.startBroker("--listen", "0.0.0.0:0")
	c.awaitActive()
	_, port, err := net.SplitHostPort(c.addr)
	must(t, err)
	c.addr = net.JoinHostPort("127.0.0.1", port)
	from := net.JoinHostPort(host, port)
	if reply, err := exchange(from, "PING\r\n"); !strings.HasPrefix(reply, "-DENIED Redis is running in protected mode") {
		t.Errorf("from elsewhere: %q %v", reply, err)
	}
	if reply, err := exchange(c.addr, "PING\r\n"); reply != "+PONG\r\n" {
		t.Errorf("from here: %q %v", reply, err)
	}
	if reply, err := exchange(c.addr, "CONFIG SET requirepass secret\r\n"); reply != "+OK\r\n" {
		t.Fatalf("%q %v", reply, err)
	}
	for input, want := range map[string]string{
		"PING\r\n":                        "-NOAUTH",
		"AUTH wrong\r\nPING\r\n":          "-WRONGPASS",
		"HELLO 3 AUTH default wrong\r\n":  "-WRONGPASS",
		"AUTH secret\r\n":                 "+OK\r\n",
		"AUTH default secret\r\nPING\r\n": "+OK\r\n+PONG\r\n",
		"HELLO 2 AUTH default secret\r\n": "*14\r\n",
	} {
		if reply := converse(t, from, input); !strings.HasPrefix(reply, want) {
			t.Errorf("%q: %q", input, reply)
		}
	}
	reply := converse(t, from, strings.Repeat("AUTH x\r\n", 1000))
	wrong, limited := strings.Count(reply, "-WRONGPASS"), strings.Count(reply, "-ERR too many wrong passwords")
	if wrong < 50 || limited == 0 || wrong+limited != 1000 {
		t.Errorf("a thousand guesses: %d looked at, %d not", wrong, limited)
	}
	if reply, err := exchange(c.addr, "AUTH secret\r\n"); reply != "+OK\r\n" {
		t.Errorf("another address meanwhile: %q %v", reply, err)
	}
	c.awaitCounted("brainer_auth_failures_total")
	c.awaitCounted("brainer_auth_limited_total")
	if strings.Contains(c.broker.output(), "secret") {
		t.Error("the log has the password in it")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, other := certtest.New(t), certtest.New(t)
	server, client, stranger := ca.Issue("server"), ca.Issue("client"), other.Issue("stranger")
	c := startAlone(t, "--tls-listen", "127.0.0.1:0", "--tls-cert-file", server.Cert, "--tls-key-file", server.Key,
		"--tls-ca-cert-file", ca.File)
	addr := c.broker.awaitLog(`msg="broker starts".* tls_listen=(\S+)`)[1]
	host, port, _ := strings.Cut(addr, ":")
	c.do("SET", "k", "v")

	shows := func(p certtest.Pair) []string { return []string{"--cert", p.Cert, "--key", p.Key} }
	trusts := func(a *certtest.Authority) []string { return []string{"--cacert", a.File} }
	for _, test := range []struct {
		name  string
		flags []string
		ok    bool
		says  string // brainer-cli
	}{
		{"its certificate", append(trusts(ca), shows(client)...), true, "v"},
		{"no certificate", trusts(ca), false, "--cert and --key name a certificate"},
		{"a stranger's certificate", append(trusts(ca), shows(stranger)...), false, "--cert and --key name a certificate"},
		{"another authority", append(trusts(other), shows(client)...), false, "--cacert names one"},
		{"no look at the server's", append([]string{"--insecure"}, shows(client)...), true, "v"},
	} {
		cmd := exec.Command(installed(t, "redis-cli", "redis-tools"), append([]string{"-h", host, "-p", port, "--tls"}, append(test.flags, "get", "k")...)...)
		p := startCommand(t, "redis-cli", cmd)
		p.exit()
		if ok := p.output() == "v"; ok != test.ok {
			t.Errorf("redis-cli --tls, %s: %q", test.name, p.output())
		}
		out, code := cli(t, append(test.flags, "rediss://"+addr, "get", "k")...)
		if want := map[bool]int{true: 0, false: 3}[test.ok]; code != want || !strings.Contains(out, test.says) || strings.Contains(out, "\n") {
			t.Errorf("brainer-cli rediss://, %s: %q, exit code %d", test.name, out, code)
		}
	}
	if out, code := cli(t, "rediss://"+c.addr, "get", "k"); code != 3 || !strings.Contains(out, "no TLS is spoken there") {
		t.Errorf("rediss:// to --listen: %q, exit code %d", out, code)
	}
	if out, code := cli(t, "redis://"+addr, "get", "k"); code != 3 {
		t.Errorf("redis:// to --tls-listen: %q, exit code %d", out, code)
	}
	c.awaitCounted("brainer_tls_handshake_failures_total")

	config := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{client.Load(t)}}
	r := c.newClient(func(o *redis.Options) { o.Addr, o.TLSConfig = addr, config })
	big := strings.Repeat("x", 3<<20)
	if err := r.Set(ctxOf(t), "big", big, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Get(ctxOf(t), "big").Result(); err != nil || v != big {
		t.Errorf("%d bytes, %v", len(v), err)
	}
	old := &tls.Config{RootCAs: ca.Pool(), Certificates: config.Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", addr, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}

	// A certificate is replaced under load: the next connection sees it, and nothing fails.
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := r.Set(ctxOf(t), "k", "v", 0).Err(); err != nil {
				failed <- err
				return
			}
		}
	}()
	ca.Reissue("renewed", server)
	await(t, "the renewed certificate", func() (bool, string) {
		conn, err := tls.Dial("tcp", addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		name := conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		return name == "renewed", name
	})
	close(stop)
	if err := <-failed; err != nil {
		t.Errorf("while the certificate was replaced: %v", err)
	}
}

func TestMetricsBehindTLSAndAPassword(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t)
	server := ca.Issue("server")
	web := filepath.Join(t.TempDir(), "web.yml")
	// The hash is bcrypt's of "secret", at the least cost.
	must(t, os.WriteFile(web, []byte(fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\n"+
		"basic_auth_users: {ops: $2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW}\n", server.Cert, server.Key)), 0o600))
	c := newCluster(t)
	c.startBroker("--web.config.file", web)
	c.awaitActive()
	n1 := c.startNode("n1", "--metrics", "127.0.0.1:0", "--web.config.file", web)
	c.awaitInSync(2)
	node := n1.awaitLog(`msg="node starts".* metrics=(\S+)`)[1]

	curl := installed(t, "curl", "curl")
	for _, test := range []struct {
		name string
		args []string
		want string // of the status, "000": no answer
	}{
		{"with both", []string{"--cacert", ca.File, "--user", "ops:secret"}, "200"},
		{"without a password", []string{"--cacert", ca.File}, "401"},
		{"with a wrong password", []string{"--cacert", ca.File, "--user", "ops:wrong"}, "401"},
		{"without trust", []string{"--user", "ops:secret"}, "000"},
	} {
		for _, page := range []string{c.metrics + "/metrics", c.metrics + "/healthz", c.metrics + "/readyz", node + "/metrics", node + "/readyz"} {
			p := startCommand(t, "curl", exec.Command(curl, append(test.args, "-s", "-o", "/dev/null", "-w", "%{http_code}\n", "https://"+page)...))
			p.exit()
			if p.output() != test.want {
				t.Errorf("https://%s %s: %s, want %s", page, test.name, p.output(), test.want)
			}
		}
	}
	if conn, err := net.Dial("tcp", c.metrics); err == nil {
		_, _ = io.WriteString(conn, "GET /metrics HTTP/1.0\r\n\r\n")
		if b, _ := io.ReadAll(conn); bytes.Contains(b, []byte("brainer_")) {
			t.Error("metrics are served in the clear")
		}
		conn.Close()
	}

	page := startCommand(t, "curl", exec.Command(curl, "-s", "--cacert", ca.File, "--user", "ops:secret", "https://"+c.metrics+"/metrics"))
	page.exit()
	lint := exec.Command(installed(t, "promtool", "prometheus"), "check", "metrics")
	lint.Stdin = strings.NewReader(page.output() + "\n")
	if p := startCommand(t, "promtool", lint); p.exit() == 1 { // 3: it would name some otherwise
		t.Errorf("promtool: %s", p.output())
	}

	config := filepath.Join(t.TempDir(), "prometheus.yml")
	scrape := func(job, password string) string {
		return fmt.Sprintf("  - {job_name: %s, scheme: https, tls_config: {ca_file: %s}, basic_auth: {username: ops, password: %s}, static_configs: [{targets: [%q]}]}\n",
			job, ca.File, password, c.metrics)
	}
	must(t, os.WriteFile(config, []byte("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"+
		scrape("right", "secret")+scrape("wrong", "wrong")), 0o600))
	pr := startPrometheusWith(t, config)
	pr.awaitValue(`up{job="right"}`, 1)
	pr.awaitValue(`up{job="wrong"}`, 0)
}
