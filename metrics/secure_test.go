package metrics

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func webConfig(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The hash is bcrypt's of "secret", at the least cost.
const users = "basic_auth_users: {ops: $2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW}\n"

func TestEveryPageAsksForThePassword(t *testing.T) {
	url, stop := start(t, http.NotFoundHandler(), func() error { return nil }, func(s *Server) {
		if err := s.Secure(webConfig(t, users), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	})
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		if code, _ := get(t, url+path); code != http.StatusUnauthorized {
			t.Errorf("%s without a password: %d", path, code)
		}
	}
	if code, body := get(t, strings.Replace(url, "://", "://ops:secret@", 1)+"/readyz"); code != 200 || body != "ready" {
		t.Errorf("/readyz with the password: %d %s", code, body)
	}
	if code, _ := get(t, strings.Replace(url, "://", "://ops:wrong@", 1)+"/readyz"); code != http.StatusUnauthorized {
		t.Errorf("/readyz with a wrong password: %d", code)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAMistakeInTheWebConfigIsOneLineThatNamesTheFlag(t *testing.T) {
	s, err := Listen("127.0.0.1:0", http.NotFoundHandler(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, file := range []string{"/nowhere/web.yml", webConfig(t, "basic_auth_user: {}\n"),
		webConfig(t, "tls_server_config: {cert_file: none.pem, key_file: none.pem}\n"), webConfig(t, "basic_auth_users: {ops: plain}\n")} {
		err := s.Secure(file, slog.New(slog.DiscardHandler))
		if err == nil || !strings.HasPrefix(err.Error(), "--web.config.file "+file+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
