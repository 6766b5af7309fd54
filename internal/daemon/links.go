package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/pflag"

	"brainer/internal/curve"
)

// Links are the flags by which the ZeroMQ endpoints of a daemon are secured.
type Links struct {
	keyFile, allowedFile, serverFile string
	allowPlain                       bool
}

// BoundFlags are of a daemon that others dial.
func (l *Links) BoundFlags(f *pflag.FlagSet) {
	f.StringVar(&l.keyFile, "curve-key", "", "`file` of the own key pair for tcp:// endpoints (brainer-cli keygen makes one)")
	f.StringVar(&l.allowedFile, "curve-allowed-keys", "", "`file` of the keys that may connect: lines of node|client KEY [NAME]; read again when it is replaced")
	f.BoolVar(&l.allowPlain, "allow-plain-tcp", false, "use tcp:// endpoints of other machines without keys: on a network that you trust")
}

// DialFlags are of a daemon that dials the broker.
func (l *Links) DialFlags(f *pflag.FlagSet) {
	f.StringVar(&l.serverFile, "curve-server-key", "", "`file` of the broker's public key, which --broker must show on tcp://")
}

// Config reads the files; nil without keys. The caller adds what it admits.
func (l *Links) Config(log *slog.Logger) (*curve.Config, error) {
	if l.keyFile == "" {
		if l.allowedFile != "" || l.serverFile != "" {
			return nil, errors.New("--curve-allowed-keys and --curve-server-key need --curve-key, the own pair (brainer-cli keygen makes one)")
		}
		return nil, nil
	}
	if l.allowedFile == "" && l.serverFile == "" {
		return nil, errors.New("--curve-key alone secures nothing: --curve-allowed-keys says who may connect")
	}
	c := &curve.Config{Refusals: curve.NewRefusals(log)}
	var err error
	if c.Own, err = curve.LoadPair(l.keyFile); err != nil {
		return nil, fmt.Errorf("--curve-key %w", err)
	}
	if l.serverFile != "" {
		if c.Server, err = curve.LoadPublic(l.serverFile); err != nil {
			return nil, fmt.Errorf("--curve-server-key %w", err)
		}
	}
	if l.allowedFile != "" {
		if c.Allowed, err = curve.LoadAllowed(l.allowedFile, log); err != nil {
			return nil, fmt.Errorf("--curve-allowed-keys %w", err)
		}
	}
	return c, nil
}

// CheckBound refuses an endpoint that other machines reach and anybody may use.
func (l *Links) CheckBound(flag, endpoint string, c *curve.Config) error {
	if l.allowPlain || c.Binds() || !exposed(endpoint) {
		return nil
	}
	return fmt.Errorf("%s %s: whoever reaches it could read and write everything; give --curve-key and --curve-allowed-keys, or --allow-plain-tcp on a network that you trust", flag, endpoint)
}

// CheckDialled refuses an endpoint where somebody else could pose as the broker.
func (l *Links) CheckDialled(flag, endpoint string, c *curve.Config) error {
	if l.allowPlain || c.Dials() || !exposed(endpoint) {
		return nil
	}
	return fmt.Errorf("%s %s: what listens there could be anybody, and the data travels in the clear; give --curve-key and --curve-server-key, or --allow-plain-tcp on a network that you trust", flag, endpoint)
}

// exposed says whether an endpoint is on a network.
func exposed(endpoint string) bool {
	address, tcp := strings.CutPrefix(endpoint, "tcp://")
	if !tcp {
		return false
	}
	address = address[strings.LastIndexByte(address, ';')+1:] // of "source;destination"
	host := address[:max(0, strings.LastIndexByte(address, ':'))]
	host = strings.Trim(host, "[]")
	if ip := net.ParseIP(host); ip != nil {
		return !ip.IsLoopback()
	}
	return host != "localhost" && host != "lo" // a name, an interface's, or * for all
}
