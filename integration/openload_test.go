package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"brainer/resp"
)

// openLoad is clients whose requests are due at times that are set beforehand: one that could not be sent,
// or was not answered, while the service stood still counts from when it was due, and so does every one
// behind it. (A client that waits for its answer before it asks again sees one slow call where a hundred
// would have been.)
type openLoad struct {
	t       testing.TB
	c       *cluster
	clients []*loadClient
	closing atomic.Bool
	done    sync.WaitGroup
}

// What a client of an open load does.
type loadKind int

const (
	readsAlone  loadKind = iota // reads of keys that nobody writes
	writes                      // SET and INCR of keys of its own
	readsBehind                 // reads of keys that another client is writing
	allInTurn                   // one after the other, each as soon as the last is answered
)

const (
	loadValueLen = 100
	loadKeys     = 100 // of each client that writes; the first few count
	loadCounters = 4
	loadAtOnce   = 1 << 14 // requests of one client under way; more wait where they are due
)

var loadKinds = map[loadKind]string{readsAlone: "reads alone", writes: "writes", readsBehind: "reads behind writes", allInTurn: "all in turn"}

// loadClient has one connection, and another when that breaks.
type loadClient struct {
	kind   loadKind
	number int
	every  time.Duration // from one request to the next
	target *loadClient   // whose keys are read behind its writes
	load   *openLoad

	next time.Time // when the next request is due

	own [loadKeys]loadKey

	mu       sync.Mutex
	answered time.Time // when the last request that has been answered, or has failed, was due
	from     time.Time // waits since then count for worst
	worst    time.Duration
	failing  time.Time // when the first was due of those that have failed since the last that has not
	total    int
	failed   map[string]int
	wrong    []string
}

// loadKey is what became of a client's writes to one key.
type loadKey struct {
	sent  int64        // its own goroutine's: the highest number sent
	acked atomic.Int64 // the highest number acknowledged

	// Counters, under the client's lock:
	open    int64 // of those sent, without an answer
	unknown int64 // of those, of earlier connections
}

// loadRequest is one that has been sent.
type loadRequest struct {
	kind  loadKind
	due   time.Time
	key   int
	wrote int64 // the number that SET gave
	floor int64 // a read must not show less
}

func (l *openLoad) key(number, key int) string { return fmt.Sprintf("load:%d:%d", number, key) }

// startClosedLoad runs so many clients that ask again when they are answered, until stop.
func startClosedLoad(t testing.TB, c *cluster, clients int) *openLoad {
	l := &openLoad{t: t, c: c}
	for range clients {
		l.add(allInTurn, 0)
	}
	return l.start()
}

// startOpenLoad offers so many requests a second, half of them reads of keys that nobody writes, a quarter
// writes, a quarter reads of keys that are being written, until stop.
func startOpenLoad(t testing.TB, c *cluster, clients int, perSecond float64) *openLoad {
	l := &openLoad{t: t, c: c}
	every := time.Duration(float64(clients) / perSecond * float64(time.Second))
	for i := range clients {
		l.add([]loadKind{readsAlone, writes, readsAlone, readsBehind}[i%4], every)
	}
	for i, k := range l.clients {
		if k.kind == readsBehind {
			k.target = l.clients[i-2]
		}
	}
	return l.start()
}

func (l *openLoad) add(kind loadKind, every time.Duration) {
	k := &loadClient{kind: kind, number: len(l.clients), every: every, load: l, failed: map[string]int{}}
	k.target = k
	l.clients = append(l.clients, k)
}

func (l *openLoad) start() *openLoad {
	l.t.Helper()
	for i := range readKeys {
		k := "read:" + strconv.Itoa(i)
		l.c.do("SET", k, loadValue(k))
	}
	began := time.Now()
	for i, k := range l.clients {
		k.next = began.Add(k.every * time.Duration(i) / time.Duration(len(l.clients)))
		k.answered, k.from = began, began
		l.done.Go(k.run)
	}
	l.t.Cleanup(l.stop)
	return l
}

func loadValue(text string) string { return text + ";" + strings.Repeat("v", loadValueLen-len(text)-1) }

// stop lets what is under way be answered, and ends the clients.
func (l *openLoad) stop() {
	l.closing.Store(true)
	l.done.Wait()
}

// calls is how many requests were answered or have failed.
func (l *openLoad) calls() (n int) {
	for _, k := range l.clients {
		k.mu.Lock()
		n += k.total
		k.mu.Unlock()
	}
	return n
}

// watch begins to look for the longest stall of each client.
func (l *openLoad) watch() {
	now := time.Now()
	for _, k := range l.clients {
		k.mu.Lock()
		k.from, k.worst = now, 0
		k.mu.Unlock()
	}
}

// stalls awaits the answer to every request that is due by now, and returns each client's longest wait
// since watch.
func (l *openLoad) stalls() map[loadKind][]time.Duration {
	l.t.Helper()
	now := time.Now()
	longest := map[loadKind][]time.Duration{}
	for _, k := range l.clients {
		await(l.t, fmt.Sprintf("client %d has its answers", k.number), func() (bool, string) {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.answered.After(now), fmt.Sprint(now.Sub(k.answered), " behind; failed: ", k.failed)
		})
		k.mu.Lock()
		longest[k.kind] = append(longest[k.kind], k.worst)
		k.mu.Unlock()
	}
	return longest
}

// failures are the calls that have failed so far, by kind of client, and what they were told.
func (l *openLoad) failures() (reads, writing int, texts map[string]int) {
	texts = map[string]int{}
	for _, k := range l.clients {
		k.mu.Lock()
		for text, n := range k.failed {
			texts[text] += n
			if k.kind == writes {
				writing += n
			} else {
				reads += n
			}
		}
		k.mu.Unlock()
	}
	return reads, writing, texts
}

// lost is how many acknowledged writes are not in these copies, and what else cannot be. Call it after
// stop.
func (l *openLoad) lost(ids ...string) (n int) {
	l.t.Helper()
	for _, k := range l.clients {
		for _, text := range k.wrong {
			l.t.Errorf("client %d: %s", k.number, text)
			n++
		}
	}
	first := l.c.contents(ids[0])
	l.c.sameOnAll(first, ids[1:]...)
	for _, k := range l.clients {
		for i := range k.own {
			w := &k.own[i]
			if w.sent == 0 {
				continue
			}
			text, _, _ := strings.Cut(first[l.key(k.number, i)], ";")
			got, _ := strconv.ParseInt(text, 10, 64)
			acked, most := w.acked.Load(), w.sent
			if i < loadCounters {
				most = acked + w.open
			}
			if got < acked || got > most {
				l.t.Errorf("%s is %d; acknowledged were %d, sent %d", l.key(k.number, i), got, acked, most)
				n++
			}
		}
	}
	return n
}

func (k *loadClient) run() {
	rnd := rand.New(rand.NewPCG(uint64(k.number), 7))
	for !k.load.closing.Load() {
		conn, err := net.DialTimeout("tcp", k.load.c.addr, patience)
		if err != nil {
			<-time.After(5 * time.Millisecond) // what is due meanwhile is sent later
			continue
		}
		k.talk(conn, rnd)
	}
}

// talk uses one connection until it breaks or the load ends.
func (k *loadClient) talk(conn net.Conn, rnd *rand.Rand) {
	pending := make(chan loadRequest, loadAtOnce)
	turn := make(chan struct{}, 1) // allInTurn: the last one is answered
	broken := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		r := bufio.NewReaderSize(conn, 64<<10)
		for q := range pending {
			text, err := loadReply(r)
			if err != nil {
				conn.Close()
				close(broken)
				k.fail(q, err)
				for q := range pending {
					k.fail(q, err)
				}
				return
			}
			k.settle(q, text)
			select {
			case turn <- struct{}{}:
			default:
			}
		}
	})
	defer conn.Close()
	defer reader.Wait()
	defer close(pending)
	var out []byte
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; !k.load.closing.Load(); {
		now := time.Now()
		if k.kind == allInTurn {
			k.next = now
		}
		out = out[:0]
		for sent := 0; !k.next.After(now) && sent < 64; sent++ {
			kind := k.kind
			if kind == allInTurn {
				kind = []loadKind{readsAlone, writes, readsAlone, readsBehind}[i%4]
				i++
			}
			var q loadRequest
			q, out = k.request(kind, rnd, out)
			select {
			case pending <- q:
			case <-broken:
				k.fail(q, errors.New("the connection is broken"))
				return
			}
			k.next = k.next.Add(k.every)
			if k.kind == allInTurn {
				break
			}
		}
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				conn.Close() // the reader tells what is lost by it
				return
			}
		}
		if k.kind == allInTurn {
			select {
			case <-turn:
			case <-broken:
				return
			}
			continue
		}
		timer.Reset(max(time.Millisecond, time.Until(k.next)))
		select {
		case <-timer.C:
		case <-broken:
			return
		}
	}
}

// request appends the next one to out.
func (k *loadClient) request(kind loadKind, rnd *rand.Rand, out []byte) (loadRequest, []byte) {
	q := loadRequest{kind: kind, due: k.next, key: rnd.IntN(loadKeys)}
	switch kind {
	case readsAlone:
		q.key = rnd.IntN(readKeys)
		return q, resp.AppendCommand(out, []byte("GET"), []byte("read:"+strconv.Itoa(q.key)))
	case readsBehind:
		q.floor = k.target.own[q.key].acked.Load()
		return q, resp.AppendCommand(out, []byte("GET"), []byte(k.load.key(k.target.number, q.key)))
	}
	w, key := &k.own[q.key], []byte(k.load.key(k.number, q.key))
	w.sent++
	if q.key < loadCounters {
		k.mu.Lock()
		w.open++
		k.mu.Unlock()
		return q, resp.AppendCommand(out, []byte("INCR"), key)
	}
	q.wrote = w.sent
	return q, resp.AppendCommand(out, []byte("SET"), key, []byte(loadValue(strconv.FormatInt(w.sent, 10))))
}

// loadReply reads one reply to GET, SET or INCR; an error reply keeps its minus.
func loadReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	line = bytes.TrimSuffix(line, []byte("\r\n"))
	if len(line) == 0 || line[0] != '$' {
		return string(line), nil
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 {
		return "", err
	}
	b := make([]byte, n+2)
	_, err = io.ReadFull(r, b)
	return string(b[:n]), err
}

// refusal is an error reply.
type refusal string

func (r refusal) Error() string { return string(r) }

// settle notes a reply.
func (k *loadClient) settle(q loadRequest, text string) {
	if strings.HasPrefix(text, "-") {
		k.fail(q, refusal(text[1:]))
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	wrong := ""
	switch {
	case q.kind == readsAlone:
		if want := loadValue("read:" + strconv.Itoa(q.key)); text != want {
			wrong = fmt.Sprintf("GET read:%d: %q", q.key, text)
		}
	case q.kind == readsBehind:
		text, _, _ = strings.Cut(text, ";")
		if got, _ := strconv.ParseInt(text, 10, 64); got < q.floor {
			wrong = fmt.Sprintf("a read shows %d where %d was acknowledged before it was sent", got, q.floor)
		}
	case q.key < loadCounters:
		w := &k.own[q.key]
		got, err := strconv.ParseInt(strings.TrimPrefix(text, ":"), 10, 64)
		// Of the writes that broke with an earlier connection each may have taken place, before this one.
		if acked := w.acked.Load(); err != nil || got <= acked || got > acked+1+w.unknown {
			wrong = fmt.Sprintf("INCR after %d, and %d of unknown outcome: %q", acked, w.unknown, text)
		}
		w.acked.Store(got)
		w.open -= 1 + w.unknown
		w.unknown = 0
	case text != "+OK":
		wrong = fmt.Sprintf("SET: %q", text)
	default:
		k.own[q.key].acked.Store(q.wrote)
	}
	k.took(q)
	k.failing = time.Time{}
	if wrong != "" {
		k.wrong = append(k.wrong, wrong)
	}
}

func (k *loadClient) fail(q loadRequest, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failing.IsZero() {
		k.failing = q.due
	}
	k.took(q)
	text := err.Error()
	if _, replied := err.(refusal); !replied {
		text = "the connection broke"
	}
	k.failed[text]++
	switch {
	case q.kind != writes || q.key >= loadCounters:
	case notExecuted(err):
		k.own[q.key].open--
	default:
		k.own[q.key].unknown++
	}
}

// took notes how long a request has waited, or those before it that were refused. The lock is held.
func (k *loadClient) took(q loadRequest) {
	k.total++
	k.answered = q.due
	since := q.due
	if !k.failing.IsZero() {
		since = k.failing
	}
	if since.Before(k.from) {
		since = k.from
	}
	k.worst = max(k.worst, time.Since(since))
}

// quantile is of durations, by the nearest rank.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
