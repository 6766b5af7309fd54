package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"brainer/broker/client"
)

// importKey is where the target keeps how far an import has come, in database 0 and until it is done: so it is where the data is,
// and what is said of the data is as safe as the data.
const importKey = "brainer:import"

// importState is how far an import has come.
type importState struct {
	Source string `json:"source"`
	Merge  bool   `json:"merge,omitempty"` // there was other data before
	Run    string `json:"run"`             // of the source's process, or of its history: without it the rest means nothing

	Keys int64            `json:"keys,omitempty"` // that have been imported
	Left map[string]int64 `json:"left,omitempty"` // of types that are left out, by type

	// Of an import by SCAN.
	DB     int    `json:"db"`
	Cursor uint64 `json:"cursor"`
	Writes string `json:"writes,omitempty"` // of the source, when it began

	// Of one that follows: bytes of the source's stream that are applied; below 0 while the keys are being loaded.
	Offset int64    `json:"offset"`
	Owner  string   `json:"owner,omitempty"` // who is at it
	Stream streamed `json:"stream,omitzero"`
}

// streamed says what became of the commands of a source's stream.
type streamed struct {
	Applied  int64            `json:"applied,omitempty"`
	Unknown  map[string]int64 `json:"unknown,omitempty"` // by name: there are none of these here
	Failed   int64            `json:"failed,omitempty"`  // answered with an error, as those on keys that were left out
	FirstErr string           `json:"first_err,omitempty"`
}

// leftOut says what of the stream could not be applied, "" when all could.
func (s *streamed) leftOut() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s.Unknown)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, s.Unknown[name]))
	}
	text := ""
	if len(parts) > 0 {
		text = "commands that Brainer does not have were left out (" + strings.Join(parts, ", ") + ")"
	}
	if s.Failed > 0 {
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%d commands were answered with an error, first with %q", s.Failed, s.FirstErr)
	}
	return text
}

func (s *streamed) fail(err error) {
	if s.Failed++; s.FirstErr == "" {
		s.FirstErr = err.Error()
	}
}

func (s importState) encode() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return string(b)
}

// loadImportState returns what the target knows of an import, nil when there is none.
func loadImportState(ctx context.Context, conn *client.Client) (*importState, error) {
	if _, err := conn.DoContext(ctx, "SELECT", "0"); err != nil {
		return nil, err
	}
	text, found, err := conn.GetContext(ctx, importKey)
	if err != nil || !found {
		return nil, err
	}
	var s importState
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, failure{fmt.Errorf("key %s of the target has something else than the state of an import: --restart removes it", importKey)}
	}
	return &s, nil
}

// refuseKeys tells when there are keys that no flag says anything of.
func (f *importFlags) refuseKeys(ctx context.Context, conn *client.Client) error {
	if f.onto.merge || f.onto.replace {
		return nil
	}
	state, err := loadImportState(ctx, conn)
	if state != nil || err != nil { // beginImport sees to it
		return nil
	}
	return f.onto.prepare(ctx, conn)
}

// beginImport prepares the target and returns where to begin: at the beginning, or, if goesOn allows it, where an import of the
// same source and run has been interrupted.
func (f *importFlags) beginImport(ctx context.Context, conn *client.Client, source, run string, goesOn bool) (*importState, error) {
	state, err := loadImportState(ctx, conn)
	if f.restart {
		f.restart, state = false, nil // not again when a link breaks
		_, err = conn.DoContext(ctx, "DEL", importKey)
	}
	switch {
	case err != nil:
		return nil, err
	case state == nil:
		if err := f.onto.prepare(ctx, conn); err != nil {
			return nil, err
		}
		state = &importState{Merge: f.onto.merge}
	case state.Source != source:
		return nil, failure{fmt.Errorf("an import from %s has not come to its end: end that one, or --restart forgets it", state.Source)}
	case goesOn && state.Run == run:
		return state, nil
	case !state.Merge: // what is there is of an import that came to nothing, and nothing else
		if _, err := conn.DoContext(ctx, "FLUSHALL"); err != nil {
			return nil, err
		}
	}
	fresh := importState{Source: source, Run: run, Offset: -1, Merge: state.Merge}
	return &fresh, saveImportState(ctx, conn, fresh)
}

func saveImportState(ctx context.Context, conn *client.Client, s importState) error {
	_, err := conn.DoContext(ctx, "SET", importKey, s.encode())
	return err
}

func endImport(ctx context.Context, conn *client.Client) error {
	if _, err := conn.DoContext(ctx, "SELECT", "0"); err != nil {
		return err
	}
	_, err := conn.DoContext(ctx, "DEL", importKey)
	return err
}
