package curve

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"brainer/internal/reload"
)

// Caller is what the list says of a key.
type Caller struct {
	Key    Key
	Node   bool   // it may join as a node,
	NodeID string // under this id, or any if it is empty
	Client bool   // it may send commands
}

// Allowed is a list of the keys that may connect, in a file that is read again when it is replaced:
//
//	# role  public key                                id, of a node that may have no other; a client's is a note
//	node    rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7  n1
//	client  Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID  billing
//
// Its methods may be called from any goroutine.
type Allowed struct {
	file  string
	log   *slog.Logger
	files *reload.Files
	table atomic.Pointer[map[string]Caller] // by the key's text
}

// LoadAllowed reads the list.
func LoadAllowed(file string, log *slog.Logger) (*Allowed, error) {
	a := &Allowed{file: file, log: log, files: reload.Watch(file)}
	table, err := readAllowed(file)
	if err != nil {
		return nil, err
	}
	a.table.Store(&table)
	return a, nil
}

// Find says what key, as text, may do, by the list as it is now.
func (a *Allowed) Find(key string) (Caller, bool) {
	if a.files.Changed() {
		a.reload()
	}
	c, ok := (*a.table.Load())[key]
	return c, ok
}

// reload keeps what was known when the file cannot be read: a slip of an editor locks nobody out.
func (a *Allowed) reload() {
	table, err := readAllowed(a.file)
	if err != nil {
		a.log.Error("the list of allowed keys was replaced by what cannot be used, the former stays", "err", err)
		return
	}
	a.table.Store(&table)
	a.log.Info("list of allowed keys read again", "file", a.file, "keys", len(table))
}

func readAllowed(file string) (map[string]Caller, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, reason(file, err)
	}
	defer f.Close()
	table := map[string]Caller{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if err := add(table, fields); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", file, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, reason(file, err)
	}
	return table, nil
}

func add(table map[string]Caller, fields []string) error {
	if len(fields) < 2 {
		return fmt.Errorf("a line is: node|client KEY [NAME]")
	}
	key, err := ParseKey(fields[1])
	if err != nil {
		return err
	}
	c := table[key.String()]
	c.Key = key
	switch fields[0] {
	case "node":
		if c.Node {
			return fmt.Errorf("the key %s is a node's twice", key)
		}
		c.Node = true
		if len(fields) > 2 {
			c.NodeID = fields[2]
		}
	case "client":
		c.Client = true
	default:
		return fmt.Errorf("the role %q is neither node nor client", fields[0])
	}
	table[key.String()] = c
	return nil
}
