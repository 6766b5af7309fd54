package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const lagEvery = time.Second

// lag is how far behind a source we are.
type lag struct {
	r       *redis.Client
	bytes   int64     // at the last look
	levelAt time.Time // when the source was last seen to be no further than we are now

	askedAt   time.Time
	waits     bool // a look is not reached yet
	waitsFor  int64
	waitsFrom time.Time
}

func newLag(from *source) *lag { return &lag{r: from.open(0), levelAt: time.Now()} }

// look asks the source how far it is, once a second or at once; known says that it has told so now. Offset is ours.
func (l *lag) look(ctx context.Context, offset int64, atOnce bool) (known bool) {
	now := time.Now()
	if l.waits && offset >= l.waitsFor {
		l.waits, l.levelAt = false, l.waitsFrom
	}
	if !atOnce && now.Sub(l.askedAt) < lagEvery {
		return false
	}
	l.askedAt = now
	info, err := l.r.Info(ctx, "replication").Result()
	if err != nil {
		return false // the link tells what is the matter
	}
	theirs, err := strconv.ParseInt(infoField(info, "master_repl_offset"), 10, 64)
	if err != nil {
		return false
	}
	l.bytes = max(theirs-offset, 0)
	switch {
	case l.bytes == 0:
		l.waits, l.levelAt = false, now
	case !l.waits:
		l.waits, l.waitsFor, l.waitsFrom = true, theirs, now
	}
	return true
}

func (l *lag) close() { _ = l.r.Close() }

// infoField is a field of INFO, "" when it is not there.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
