package command

import (
	"fmt"
	"strconv"
	"strings"
)

// Arg describes one argument for COMMAND DOCS.
type Arg struct {
	Name, Type, Token      string // Type as Redis: "key", "string", "integer", "oneof", "block", "pure-token" ...
	Since, DeprecatedSince string
	Optional, Multiple     bool
	MultipleToken          bool
	KeySpec                int // index in Command.KeySpecs, -1 for none
	Args                   []Arg
}

// parseArgs reads Row.ArgSpec: arguments separated by spaces, each of them
//
//	name<type>#KEYSPEC!TOKEN@SINCE^DEPRECATED?*+(arguments within)
//
// of which only the name is required. The type is "string" unless given; name=TOKEN is a pure-token;
// ? means optional, * multiple, + multiple with the token repeated. It panics at a mistake, which is
// the table's.
func parseArgs(text string) []Arg {
	p := argParser{text: text}
	args := p.list()
	if p.text != "" {
		panic(fmt.Sprintf("command: arguments %q: %q is left", text, p.text))
	}
	return args
}

type argParser struct{ text string }

func (p *argParser) list() []Arg {
	var args []Arg
	for p.text != "" && p.text[0] != ')' {
		args = append(args, p.arg())
		p.text = strings.TrimPrefix(p.text, " ")
	}
	return args
}

func (p *argParser) arg() Arg {
	a := Arg{Name: p.word(), Type: "string", KeySpec: -1}
	for p.text != "" && p.text[0] != ' ' && p.text[0] != ')' {
		mark := p.text[0]
		p.text = p.text[1:]
		switch mark {
		case '<':
			a.Type = p.word()
			p.text = strings.TrimPrefix(p.text, ">")
		case '=':
			a.Type, a.Token = "pure-token", p.word()
		case '!':
			a.Token = p.word()
		case '#':
			n, err := strconv.Atoi(p.word())
			if err != nil {
				panic(fmt.Sprintf("command: argument %q: %v", a.Name, err))
			}
			a.KeySpec = n
		case '@':
			a.Since = p.word()
		case '^':
			a.DeprecatedSince = p.word()
		case '?':
			a.Optional = true
		case '*':
			a.Multiple = true
		case '+':
			a.MultipleToken = true
		case '(':
			a.Args = p.list()
			p.text = strings.TrimPrefix(p.text, ")")
		default:
			panic(fmt.Sprintf("command: argument %q: %q is not understood", a.Name, mark))
		}
	}
	return a
}

// word takes what stands before the next mark.
func (p *argParser) word() string {
	end := strings.IndexAny(p.text, " <>=!#@^?*+()")
	if end < 0 {
		end = len(p.text)
	}
	word := p.text[:end]
	p.text = p.text[end:]
	return word
}
