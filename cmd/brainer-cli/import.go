package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"brainer/broker/client"
	"brainer/internal/command"
	"brainer/internal/rdb"
	"brainer/internal/transfer"
)

// importFlags are what import is told.
type importFlags struct {
	onto            onto
	dbs             databases
	match           string
	batch           int
	restart         bool
	skipUnsupported bool
	password        string

	by            string // scan or psync; "": what suits
	follow        bool
	untilCaughtUp bool
}

// check says what does not fit together.
func (f *importFlags) check(source string) error {
	follows := f.follow || f.untilCaughtUp
	switch {
	case f.by != "" && f.by != "scan" && f.by != "psync":
		return fmt.Errorf("--by %s: scan or psync", f.by)
	case !strings.Contains(source, "://") && (follows || f.by != ""):
		return errors.New("--by, --follow and --until-caught-up are for a redis:// source")
	case follows && f.by == "scan":
		return errors.New("--follow takes --by psync")
	case follows && (f.match != "" || len(f.dbs) > 0):
		return errors.New("--follow takes everything: one command of the stream may concern keys and databases that are wanted and others; --dbs and --match are for an import without it")
	case f.onto.fits(source) != nil:
		return f.onto.fits(source)
	case f.batch < 1:
		return fmt.Errorf("--batch %d: at least 1", f.batch)
	}
	if f.follow = follows; follows {
		f.by = "psync"
	}
	return nil
}

// databases is a flag's value: 0,3.
type databases []int

func (d *databases) Set(text string) error {
	for number := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || n < 0 || n >= command.Databases {
			return fmt.Errorf("numbers from 0 to %d with commas between, as in 0,3", command.Databases-1)
		}
		*d = append(*d, n)
	}
	return nil
}

func (d *databases) Type() string { return "databases" }

func (d *databases) String() string {
	text := make([]string, len(*d))
	for i, n := range *d {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ",")
}

func (c *cli) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import SOURCE",
		Short: "Bring data in from a Redis, or from an RDB file",
		Long: `import copies keys with their deadlines. SOURCE is redis://[[USER]:PASSWORD@]HOST[:PORT], the same with rediss:// for TLS, or an
RDB file ("-" is standard input).

From a Redis the keys are read with SCAN and the commands of their types: of what is changed meanwhile some comes as it was, some
as it is, and new keys may be missing. At the end it says whether the source has changed (if it tells). --by psync takes them as a replica does, all as of one moment, where the source allows it (it forks for that). --follow
then applies each change, in order and once, until it is interrupted. To cut over, stop the writers and give the same
command with --until-caught-up: it ends when nothing is missing.

How far it is stands in the key ` + importKey + ` of the target until it is done: after an interruption the same command goes on
there. A file is read to its end before anything is changed.

Brainer has strings and hashes. Keys of other types are left out, counted, and make the exit code 1 unless
--skip-unsupported says that they may be missing.`,
		Example: `  brainer-cli ipc:///tmp/broker.sock import redis://:secret@10.0.0.5:6379
  brainer-cli ipc:///tmp/broker.sock import redis://:secret@10.0.0.5:6379 --follow
  brainer-cli ipc:///tmp/broker.sock import dump.rdb --replace`,
		Args: arguments(1, "import takes SOURCE: a redis:// address or an RDB file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args[0]); err != nil {
				return err
			}
			c.bePatient(cmd)
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			if strings.Contains(args[0], "://") {
				return c.importRedis(cmd.Context(), conn, &f, args[0])
			}
			return c.importFile(cmd.Context(), conn, &f, args[0])
		},
	}
	f.onto.flags(cmd)
	fl := cmd.Flags()
	fl.Var(&f.dbs, "dbs", "only these `databases`: 0,3; default: all")
	fl.StringVar(&f.match, "match", "", "only keys that match this `pattern`, as KEYS does")
	fl.IntVar(&f.batch, "batch", 500, "`keys` that are asked for at once")
	fl.StringVar(&f.by, "by", "", "how a Redis is read: `scan` or psync; default: scan, with --follow psync")
	fl.BoolVar(&f.follow, "follow", false, "go on applying the source's changes, until interrupted")
	fl.BoolVar(&f.untilCaughtUp, "until-caught-up", false, "go on applying the source's changes until none is missing")
	fl.BoolVar(&f.restart, "restart", false, "begin anew, whatever an interrupted import has done")
	fl.BoolVar(&f.skipUnsupported, "skip-unsupported", false, "leave out keys of types that Brainer does not have, and think nothing of it")
	fl.StringVar(&f.password, "source-password", "", "the source's password, if SOURCE has none; better in BRAINER_SOURCE_PASSWORD")
	return cmd
}

// importFile imports an RDB file.
func (c *cli) importFile(ctx context.Context, conn *client.Client, f *importFlags, path string) error {
	begun := time.Now()
	file, size := os.Stdin, int64(0)
	if path != "-" {
		var err error
		if file, err = os.Open(path); err != nil {
			return failure{err}
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil {
			size = info.Size()
		}
		bar := c.progress("checking")
		err = rdb.Read(file, rdb.Visitor{
			Piece: func(*transfer.Piece) error { return ctx.Err() },
			Read:  func(bytes int64) { bar.at(bytes, size, "") },
		})
		bar.end()
		if err == nil {
			_, err = file.Seek(0, io.SeekStart)
		}
		if err != nil {
			return failure{fmt.Errorf("%s: %w; nothing was imported", path, hint(file, err))}
		}
	}
	if err := f.onto.prepare(ctx, conn); err != nil {
		return err
	}
	in, err := newIntake(ctx, conn, f.dbs, f.match)
	if err != nil {
		return err
	}
	defer in.close()
	bar := c.progress("importing")
	defer bar.end()
	err = rdb.Read(file, rdb.Visitor{
		Piece: func(p *transfer.Piece) error { return in.take(ctx, p) },
		Other: func(db int, key []byte, name string) error { in.leaveOut(db, key, name); return nil },
		Read:  func(bytes int64) { bar.at(bytes, size, count(in.keys, "key")) },
	})
	if err == nil {
		err = in.flush(ctx)
	}
	bar.end()
	if err != nil {
		return c.importFailed(fmt.Errorf("%s: %w", path, err), true, in)
	}
	return c.imported(f, in, path, begun)
}

// importFailed tells that the target has a part only, if it was begun.
func (c *cli) importFailed(err error, begun bool, in *intake) error {
	if !begun {
		return err
	}
	var unreachable *client.Error
	if errors.As(err, &unreachable) {
		fmt.Fprintf(c.err, "brainer-cli: stopped after %s: what is imported is incomplete\n", count(in.keys, "key"))
		return err
	}
	return failure{fmt.Errorf("stopped after %s, what is imported is incomplete: %w", count(in.keys, "key"), err)}
}

// imported tells what was done.
func (c *cli) imported(f *importFlags, in *intake, source string, begun time.Time) error {
	before := ""
	if in.before > 0 {
		before = fmt.Sprintf(", %d of them before it was interrupted", in.before)
	}
	fmt.Fprintf(c.out, "imported %s from %s%s, %v\n", count(in.keys, "key"), source, before, time.Since(begun).Round(time.Millisecond))
	left := in.leftOut()
	switch {
	case left == "":
		return nil
	case f.skipUnsupported:
		fmt.Fprintln(c.out, left)
		return nil
	}
	return failure{errors.New(left)}
}

// source is a Redis that data comes from.
type source struct {
	options *redis.Options
	name    string // without a password

	hidesDeadlines bool // it does not know PEXPIRETIME, which came with Redis 7.0
}

// noLog keeps what go-redis has to say of connections from standard error: its errors say it, too.
type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

func (c *cli) parseSource(f *importFlags, url string) (*source, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("a source looks like redis://:PASSWORD@HOST:PORT, or rediss:// for TLS") // err may show the password
	}
	if options.DB != 0 {
		return nil, fmt.Errorf("a source is a whole server: --dbs %d names the database", options.DB)
	}
	if options.Password == "" {
		options.Password = f.password
	}
	if options.TLSConfig != nil {
		ours, err := c.security.tlsConfig()
		if err != nil {
			return nil, err
		}
		if ours.ServerName == "" {
			ours.ServerName = options.TLSConfig.ServerName
		}
		options.TLSConfig = ours
	}
	redis.SetLogger(noLog{})
	options.Protocol, options.DisableIdentity, options.PoolSize, options.DialerRetries = 2, true, 2, 1
	options.ReadTimeout, options.WriteTimeout = c.timeout, c.timeout
	scheme := "redis"
	if options.TLSConfig != nil {
		scheme = "rediss"
	}
	return &source{options: options, name: scheme + "://" + options.Addr}, nil
}

// open connects to one of the source's databases.
func (s *source) open(db int) *redis.Client {
	o := *s.options
	o.DB = db
	return redis.NewClient(&o)
}

// failed is an error of the source, with its name.
func (s *source) failed(err error) error {
	var known failure
	var ours *client.Error
	if errors.As(err, &known) || errors.As(err, &ours) {
		return err
	}
	return failure{fmt.Errorf("%s: %w", s.name, err)}
}
