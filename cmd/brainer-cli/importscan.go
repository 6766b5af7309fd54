package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"brainer/broker/client"
	"brainer/internal/transfer"
)

// scanned is a key of a batch.
type scanned struct {
	transfer.Piece
	size int64 // bytes of a string, fields of a hash
}

// typedRead is how the keys of one type are read: sizes are asked for first, of all keys of a batch at once; then small
// values, again at once, and large ones one by one.
type typedRead struct {
	size  func(redis.Pipeliner, string) *redis.IntCmd
	small int64 // up to this size a value is read whole
	whole func(redis.Pipeliner, *scanned) func() error
	large func(ctx context.Context, r *redis.Client, k *scanned, emit func(last bool) error) error
}

var typedReads = map[string]typedRead{
	"string": {
		size:  func(p redis.Pipeliner, key string) *redis.IntCmd { return p.StrLen(context.Background(), key) },
		small: transfer.PieceBytes,
		whole: func(p redis.Pipeliner, k *scanned) func() error {
			reply := p.Get(context.Background(), string(k.Key))
			return func() (err error) { k.Value, err = reply.Bytes(); return err }
		},
		large: readLongString,
	},
	"hash": {
		size:  func(p redis.Pipeliner, key string) *redis.IntCmd { return p.HLen(context.Background(), key) },
		small: 256,
		whole: func(p redis.Pipeliner, k *scanned) func() error {
			reply := p.Do(context.Background(), "HGETALL", k.Key)
			return func() (err error) { k.Fields, err = asFields(reply.Slice()); return err }
		},
		large: readLargeHash,
	},
}

func asFields(values []any, err error) ([][]byte, error) {
	fields := make([][]byte, len(values))
	for i, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("a field or value is a %T", v)
		}
		fields[i] = []byte(s)
	}
	return fields, err
}

// errChanged: a key was changed while it was read.
var errChanged = errors.New("changed meanwhile")

func readLongString(ctx context.Context, r *redis.Client, k *scanned, emit func(last bool) error) error {
	for at := int64(0); at < k.size; at += transfer.PieceBytes {
		part, err := r.GetRange(ctx, string(k.Key), at, at+transfer.PieceBytes-1).Result()
		if err != nil {
			return err
		}
		if int64(len(part)) != min(k.size-at, transfer.PieceBytes) {
			return errChanged
		}
		k.Value = []byte(part)
		if err := emit(at+transfer.PieceBytes >= k.size); err != nil {
			return err
		}
	}
	return nil
}

func readLargeHash(ctx context.Context, r *redis.Client, k *scanned, emit func(last bool) error) error {
	for cursor := uint64(0); ; {
		fields, next, err := r.HScan(ctx, string(k.Key), cursor, "", 500).Result()
		if err != nil {
			return err
		}
		k.Fields = k.Fields[:0]
		for _, f := range fields {
			k.Fields = append(k.Fields, []byte(f))
		}
		if err := emit(next == 0); err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

// importRedis imports what a Redis has.
func (c *cli) importRedis(ctx context.Context, conn *client.Client, f *importFlags, url string) error {
	from, err := c.parseSource(f, url)
	if err != nil {
		return err
	}
	begun := time.Now()
	is, err := from.describe(ctx)
	if err != nil {
		return from.failed(err)
	}
	if err := refuseItself(ctx, conn, is.run); err != nil {
		return err
	}
	if f.by == "psync" {
		return c.importByPsync(ctx, conn, f, from)
	}
	state, err := f.beginImport(ctx, conn, from.name, is.run, true)
	if err != nil {
		return err
	}
	if state.Writes == "" {
		state.Writes = is.writes
	}
	if state.DB > 0 || state.Cursor > 0 {
		fmt.Fprintf(c.err, "brainer-cli: going on in database %d\n", state.DB)
	}
	in, err := newIntake(ctx, conn, f.dbs, f.match)
	if err != nil {
		return err
	}
	in.goOn(state)
	bar := c.progressOf("importing", true)
	err = func() error {
		defer in.close()
		defer bar.end()
		for _, db := range is.databases {
			if db < state.DB || len(f.dbs) > 0 && !slices.Contains(f.dbs, db) {
				continue
			}
			if db > state.DB {
				state.DB, state.Cursor = db, 0
			}
			if err := from.scan(ctx, in, f, state, bar); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		if ctx.Err() != nil {
			return failure{fmt.Errorf("interrupted after %s; the same command goes on from there", count(in.keys, "key"))}
		}
		return c.importFailed(from.failed(err), true, in)
	}
	if err := endImport(ctx, conn); err != nil {
		return err
	}
	err = c.imported(f, in, from.name, begun)
	if now, e := from.describe(ctx); e == nil && now.writes != state.Writes {
		fmt.Fprintln(c.err, "brainer-cli: the source has changed meanwhile: what is new there may be missing here; --follow takes every change")
	}
	return err
}

// description is what INFO tells of a source.
type description struct {
	databases []int  // that have keys
	run       string // the name of this run of the server: SCAN's cursors are of no use to another
	writes    string // another one when it has been written to; "" always: it does not tell
}

func (s *source) describe(ctx context.Context) (d description, err error) {
	r := s.open(0)
	defer r.Close()
	info, err := r.Info(ctx).Result()
	if err != nil {
		return d, err
	}
	d.run = runID(info)
	if changes := infoField(info, "rdb_changes_since_last_save"); changes != "" {
		d.writes = changes + " since " + infoField(info, "rdb_last_save_time")
	}
	for line := range strings.Lines(info) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if db, err := strconv.Atoi(strings.TrimPrefix(name, "db")); err == nil && strings.HasPrefix(name, "db") {
			d.databases = append(d.databases, db)
		}
	}
	slices.Sort(d.databases)
	return d, nil
}

// scan imports one database, from the cursor on.
func (s *source) scan(ctx context.Context, in *intake, f *importFlags, state *importState, bar *progress) error {
	r := s.open(state.DB)
	defer r.Close()
	total, err := r.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	if state.Cursor == 0 {
		total += in.keys
	}
	for {
		keys, next, err := r.Scan(ctx, state.Cursor, f.match, int64(f.batch)).Result()
		if err != nil {
			return err
		}
		for attempt := 0; len(keys) > 0; attempt++ {
			if attempt == 5 {
				return fmt.Errorf("key %q changes all the time", keys[0])
			}
			if keys, err = s.take(ctx, r, in, state.DB, keys); err != nil {
				return err
			}
		}
		if err := in.flush(ctx); err != nil {
			return err
		}
		if state.Cursor = next; next == 0 {
			return nil
		}
		if err := in.keepState(ctx, *state); err != nil {
			return err
		}
		bar.at(in.keys, total, fmt.Sprintf("of database %d", state.DB))
	}
}

// keepState writes how far it is; everything up to there is acknowledged.
func (in *intake) keepState(ctx context.Context, s importState) error {
	s.Keys, s.Left = in.keys, in.left
	b := transfer.AppendSelect(nil, 0)
	in.db = 0
	b = appendCommand(b, "SET", importKey, s.encode())
	if err := in.pipe.Send(ctx, b, 2); err != nil {
		return err
	}
	return in.flush(ctx)
}

// take imports these keys, and returns those that were changed while they were read.
func (s *source) take(ctx context.Context, r *redis.Client, in *intake, db int, names []string) (changed []string, err error) {
	keys, err := s.look(ctx, r, in, db, names)
	if err != nil {
		return nil, err
	}
	p := r.Pipeline()
	read := make([]func() error, len(keys))
	for i, k := range keys {
		if t := typedReads[k.Type]; k.size <= t.small {
			read[i] = t.whole(p, k)
		}
	}
	if p.Len() > 0 {
		if _, err := p.Exec(ctx); failedExec(err) {
			return nil, err
		}
	}
	for i, k := range keys {
		k.First, k.Last = true, true
		if read[i] != nil {
			if err = read[i](); err == nil {
				err = in.take(ctx, &k.Piece)
			}
		} else {
			err = typedReads[k.Type].large(ctx, r, k, func(last bool) error {
				k.Last = last
				err := in.take(ctx, &k.Piece)
				k.First = false
				return err
			})
		}
		var reply redis.Error
		switch {
		case errors.Is(err, errChanged), errors.Is(err, redis.Nil), errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "WRONGTYPE"):
			changed = append(changed, string(k.Key))
		case err != nil:
			return nil, err
		}
	}
	return changed, nil
}

// failedExec says whether a pipeline failed as a whole; each command has its own error otherwise.
func failedExec(err error) bool {
	var reply redis.Error
	return err != nil && !errors.As(err, &reply)
}

// look asks for types, deadlines and sizes.
func (s *source) look(ctx context.Context, r *redis.Client, in *intake, db int, names []string) (keys []*scanned, err error) {
	keys, err = s.lookOnce(ctx, r, in, db, names)
	if !s.hidesDeadlines && refusesCommand(err) {
		s.hidesDeadlines = true
		keys, err = s.lookOnce(ctx, r, in, db, names)
	}
	return keys, err
}

// refusesCommand says whether a command is not there, as PEXPIRETIME before Redis 7.0, or is forbidden.
func refusesCommand(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && (strings.HasPrefix(reply.Error(), "ERR unknown command") || strings.HasPrefix(reply.Error(), "NOPERM"))
}

func (s *source) lookOnce(ctx context.Context, r *redis.Client, in *intake, db int, names []string) (keys []*scanned, err error) {
	p := r.Pipeline()
	ask := "PEXPIRETIME"
	var now *redis.TimeCmd // of the source's clock, by which it reckons deadlines
	if s.hidesDeadlines {
		ask, now = "PTTL", p.Time(ctx)
	}
	kinds, ttls := make([]*redis.StatusCmd, len(names)), make([]*redis.Cmd, len(names))
	for i, name := range names {
		kinds[i], ttls[i] = p.Type(ctx, name), p.Do(ctx, ask, name)
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, err
	}
	p = r.Pipeline()
	var sizes []*redis.IntCmd
	for i, name := range names {
		ttl, err := ttls[i].Int64()
		if err != nil {
			return nil, err
		}
		kind := kinds[i].Val()
		t, known := typedReads[kind]
		switch {
		case kind == "none" || ttl == -2:
		case !known || !transfer.Knows(kind):
			in.leaveOut(db, []byte(name), kind)
		default:
			k := &scanned{Piece: transfer.Piece{DB: db, Key: []byte(name), Type: kind}}
			switch {
			case ttl >= 0 && s.hidesDeadlines:
				k.DeadlineMs = now.Val().UnixMilli() + ttl
			case ttl >= 0:
				k.DeadlineMs = ttl
			}
			keys = append(keys, k)
			sizes = append(sizes, t.size(p, name))
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	if _, err := p.Exec(ctx); failedExec(err) {
		return nil, err
	}
	for i, k := range keys {
		k.size = sizes[i].Val() // 0 when it is of another type by now: reading it will tell
	}
	return keys, nil
}
