package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves on a port of the system's choice until stop, which returns what Serve returned.
func start(t *testing.T, pages http.Handler, ready func() error, with ...func(*Server)) (url string, stop func() error) {
	t.Helper()
	s, err := Listen("127.0.0.1:0", pages, ready)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range with {
		w(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	return "http://" + s.Addr(), func() error { cancel(); return <-done }
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	code, body, err := fetch(url)
	if err != nil {
		t.Fatal(err)
	}
	return code, body
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

func fetch(url string) (code int, body string, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(b)), err
}

func TestPages(t *testing.T) {
	why := errors.New("loading: 0 of 2 nodes are in sync")
	url, stop := start(t, busyBroker().Handler(Build{}, busy, busyFrontEnd), func() error { return why })
	if code, body := get(t, url+"/healthz"); code != 200 || body != "ok" {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if code, body := get(t, url+"/readyz"); code != 503 || body != why.Error() {
		t.Errorf("/readyz: %d %s", code, body)
	}
	why = nil
	if code, body := get(t, url+"/readyz"); code != 200 || body != "ready" {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, body := get(t, url+"/metrics"); code != 200 || !strings.Contains(body, "\ngo_goroutines ") || !strings.Contains(body, "\nprocess_resident_memory_bytes ") {
		t.Errorf("/metrics: %d, without the runtime's or the process's: %.200s", code, body)
	}
	if code, _ := get(t, url+"/else"); code != 404 {
		t.Errorf("/else: %d", code)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestProfilesAreServedOnlyWhenAsked(t *testing.T) {
	url, stop := start(t, http.NotFoundHandler(), nil)
	if code, _ := get(t, url+"/debug/pprof/heap"); code != 404 {
		t.Errorf("not asked for: %d", code)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	url, stop = start(t, http.NotFoundHandler(), nil, (*Server).Profiles)
	if code, body := get(t, url+"/debug/pprof/heap?debug=1"); code != 200 || !strings.HasPrefix(body, "heap profile:") {
		t.Errorf("%d: %.100s", code, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestTakenAddressIsOneLineThatNamesTheFlag(t *testing.T) {
	first, err := Listen("127.0.0.1:0", http.NotFoundHandler(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.listener.Close()
	for addr, want := range map[string]string{
		first.Addr():     fmt.Sprintf("--metrics %s: another process has this address; ", first.Addr()),
		"no-port":        "--metrics no-port: ",
		"256.0.0.1:9621": "--metrics 256.0.0.1:9621: ",
	} {
		_, err := Listen(addr, http.NotFoundHandler(), nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestStopLetsAScrapeFinish(t *testing.T) {
	scraping, finish := make(chan struct{}), make(chan struct{})
	url, stop := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(scraping)
		<-finish
		fmt.Fprintln(w, "all of it")
	}), nil)
	type answer struct {
		body string
		err  error
	}
	scraped := make(chan answer, 1)
	go func() { _, b, err := fetch(url + "/metrics"); scraped <- answer{b, err} }()
	<-scraping
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	// The listener is closed before the scrape ends: that is the order of a graceful stop.
	for deadline := time.Now().Add(patience); ; {
		s, err := Listen(strings.TrimPrefix(url, "http://"), http.NotFoundHandler(), nil)
		if err == nil {
			s.listener.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the listener was not closed")
		}
		runtime.Gosched()
	}
	close(finish)
	if a := <-scraped; a.err != nil || a.body != "all of it" {
		t.Errorf("the scrape got %q, %v", a.body, a.err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
