package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"brainer/internal/redistest"
)

// changing writes to a Redis until stop is called: what is applied twice, or not at all, shows.
func changing(t testing.TB, addr string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	for i := range 3 {
		r := redis.NewClient(&redis.Options{Addr: addr, DB: i, MaxRetries: -1, ReadTimeout: patience})
		draw := rand.New(rand.NewPCG(uint64(i), 7))
		writers.Add(1)
		go func() {
			defer writers.Done()
			defer r.Close()
			for ctx.Err() == nil {
				p := r.TxPipeline()
				key := fmt.Sprint("c", draw.IntN(200))
				bg := context.Background()
				switch draw.IntN(9) {
				case 0, 1, 2:
					p.Incr(bg, "n:"+key)
					p.HIncrBy(bg, "h:"+key, "f", 3)
				case 3:
					p.Append(bg, "a:"+key, "xy")
				case 4:
					p.Set(bg, key, "v", 0)
					p.PExpire(bg, key, 3600_000_000_000)
				case 5:
					p.Del(bg, key, "h:"+key)
				case 6:
					p.Do(bg, "HSET", "big", fmt.Sprint(draw.IntN(5000)), "x")
					p.Do(bg, "SETRANGE", "r:"+key, 5, "hello")
				case 7:
					p.Do(bg, "SET", key, "x", "EX", "1000")
					p.Do(bg, "SPOP", "no such set")
				case 8:
					p.Do(bg, "COPY", "n:"+key, "n2:"+key, "REPLACE")
					p.Do(bg, "SETEX", "e:"+key, 500, "y")
				}
				if _, err := p.Exec(bg); err != nil && err != redis.Nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	return sync.OnceFunc(func() { cancel(); writers.Wait() })
}

func TestImportFollowsUntilCutOver(t *testing.T) {
	t.Parallel()
	theirs := redistest.Start(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "100mb")
	fill(t, theirs)
	c := startCluster(t, 2)
	stop := changing(t, theirs)
	defer stop()
	line := []string{c.brokerEndpoint(), "import", "redis://" + theirs, "--follow"}
	state := func() string {
		s, _ := c.do("GET", "brainer:import").(string)
		return s
	}
	follows := func() (bool, string) {
		s := state()
		return s != "" && !strings.Contains(s, `"offset":-1`), s
	}
	// Killed three times: while it loads, perhaps, and while it follows.
	for i := range 3 {
		importer := start(t, fmt.Sprint("import", i), binary("brainer-cli"), line...)
		await(t, "it follows", follows)
		if i == 0 && !(importer.logged(`is asked for all keys as of one moment`) && importer.logged(`here as of offset \d+: \d+ keys; following`)) {
			t.Errorf("what it does is not told: %s", importer.output())
		}
		first := state()
		await(t, "it goes on", func() (bool, string) { return state() != first, first })
		importer.kill()
	}
	// The broker dies under it; so does the link to the source.
	importer := start(t, "import", binary("brainer-cli"), line...)
	first := state()
	await(t, "it goes on", func() (bool, string) { return state() != first, first })
	c.broker.kill()
	c.startBroker()
	c.awaitInSync(2)
	first = state()
	await(t, "it goes on after the broker's death", func() (bool, string) { return state() != first, first })
	redistest.Dial(t, theirs).Do("CLIENT", "KILL", "TYPE", "REPLICA")
	importer.awaitLog(`brainer-cli: redis://.*; trying again`)
	first = state()
	await(t, "it goes on after the link's death", func() (bool, string) { return state() != first, first })
	importer.kill()

	// Cut over.
	stop()
	redistest.Dial(t, theirs).Do("SET", "long", strings.Repeat("z", 20<<20)) // more than a client may send at once
	out, code := cli(t, c.brokerEndpoint(), "import", "redis://"+theirs, "--until-caught-up")
	if code != 0 || !strings.Contains(out, "going on from offset") || !strings.Contains(out, "followed") || !strings.Contains(out, "of them before it was interrupted") {
		t.Fatalf("cut over: %q, exit code %d", out, code)
	}
	wantContents(t, "after the cut-over", contents(t, c.addr), contents(t, theirs))
}

func TestImportAsOfOneMoment(t *testing.T) {
	t.Parallel()
	theirs := redistest.Start(t, "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no")
	fill(t, theirs)
	withOtherTypes(t, theirs)
	c := startAlone(t)
	if out, code := cli(t, c.brokerEndpoint(), "import", "redis://"+theirs, "--by", "psync", "--skip-unsupported"); code != 0 || !strings.Contains(out, leftOut) {
		t.Fatalf("--by psync: %q, exit code %d", out, code)
	}
	wantContents(t, "--by psync", contents(t, c.addr), contents(t, theirs))
	// The source does not fork for what is refused.
	if out, code := cli(t, c.brokerEndpoint(), "import", "redis://"+theirs, "--by", "psync"); code != 1 || out != "brainer-cli: there are keys already: --merge loads on top of them, --replace removes them before" {
		t.Errorf("--by psync where keys are: %q, exit code %d", out, code)
	}
	slow := redistest.Start(t, "--repl-diskless-sync-delay", "3600")
	waits := start(t, "interrupted", binary("brainer-cli"), c.brokerEndpoint(), "import", "redis://"+slow, "--follow", "--replace")
	waits.awaitLog(`is asked for all keys as of one moment`)
	waits.signal(syscall.SIGINT)
	<-waits.exited
	if !waits.logged(`^brainer-cli: interrupted; nothing was changed$`) {
		t.Errorf("interrupted before anything came: %s", waits.output())
	}

	// What there is nothing of here is told.
	r := redistest.Dial(t, theirs)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Add(1)
	go func() {
		defer writer.Done()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				r.Do("LPUSH", "l", "x")
				r.Do("RENAME", "a list", "another list")
				r.Do("RENAME", "another list", "a list")
			}
		}
	}()
	importer := start(t, "import", binary("brainer-cli"), c.brokerEndpoint(), "import", "redis://"+theirs, "--follow", "--replace")
	await(t, "it follows", func() (bool, string) {
		s, _ := c.do("GET", "brainer:import").(string)
		return strings.Contains(s, `"unknown":{"lpush":`), s
	})
	close(stop)
	writer.Wait()
	r.Do("SET", "the end", "x")
	await(t, "it has all", func() (bool, string) { return c.do("EXISTS", "the end") == int64(1), "" })
	importer.signal(syscall.SIGINT)
	<-importer.exited
	if !importer.logged(`stopped at offset \d+, .* behind; the same command goes on`) {
		t.Errorf("interrupted: %s", importer.output())
	}
	r.Do("RENAME", "a list", "another list")
	out, code := cli(t, c.brokerEndpoint(), "import", "redis://"+theirs, "--until-caught-up")
	if code != 1 || !strings.Contains(out, "commands that Brainer does not have were left out (lpush ") || !strings.Contains(out, "no such key") {
		t.Errorf("unknown commands: %q, exit code %d", out, code)
	}
	for _, args := range [][]string{{"dump.rdb", "--follow"}, {"redis://x", "--follow", "--by", "scan"}, {"redis://x", "--follow", "--match", "a*"}, {"redis://x", "--by", "magic"}} {
		if out, code := cli(t, append([]string{c.brokerEndpoint(), "import"}, args...)...); code != 2 || strings.Contains(strings.TrimSpace(out), "\n") {
			t.Errorf("%q: %q, exit code %d", args, out, code)
		}
	}
}
