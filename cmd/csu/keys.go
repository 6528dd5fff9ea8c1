package main

import (
	"bytes"
	"unicode/utf8"

	"github.com/lsst-ts/csu/executor/visible"
)

// keys turns what a terminal sends into what [term.Terminal] edits a line with, so that
// only what the operator sees becomes part of an answer. The Terminal itself takes the end
// of a sequence that it does not know for text (an arrow key in application mode adds a
// letter), and each line of a paste for an answer.
type keys struct {
	held  []byte // the beginning of a sequence or character whose end has not come yet
	paste bool   // between the marks of a bracketed paste
}

const (
	ctrlZ    = 0x1a
	escape   = 0x1b
	pasteEnd = "\x1b[201~"
	longest  = 32 // of a sequence; what is longer is none
	// clearLine moves to the end of the line and deletes all before it.
	clearLine = "\x05\x15"
)

// edits are the control characters that edit a line, as in a shell: Ctrl-A, B, D, E, F, H,
// K, N, P, T, U and W, and the delete key.
const edits = "\x01\x02\x04\x05\x06\x08\x0b\x0e\x10\x14\x15\x17\x7f"

// sequences are those of the keys that edit a line, as the Terminal knows them. What is not
// here does nothing.
var sequences = map[string]string{
	"[A": "\x1b[A", "[B": "\x1b[B", "[C": "\x1b[C", "[D": "\x1b[D", "[H": "\x1b[H", "[F": "\x1b[F",
	"OA": "\x1b[A", "OB": "\x1b[B", "OC": "\x1b[C", "OD": "\x1b[D", "OH": "\x1b[H", "OF": "\x1b[F", // application mode
	"[1~": "\x1b[H", "[7~": "\x1b[H", "[4~": "\x1b[F", "[8~": "\x1b[F", "[3~": "\x1b[3~",
	"[1;3C": "\x1b[1;3C", "[1;3D": "\x1b[1;3D", "[1;5C": "\x1b[1;3C", "[1;5D": "\x1b[1;3D", // by words
}

// take returns the keys in the next bytes of the terminal. If these have text behind the
// end of a line, several lines came at once, which nobody types: several is true, and none
// of them is an answer.
func (k *keys) take(read []byte) (out []byte, several bool) {
	pressed := len(k.held) == 1 && k.held[0] == escape // the escape key, some time ago
	data, ended := append(k.held, read...), false
	k.held = nil
	for len(data) > 0 {
		text, size := k.next(data, pressed)
		pressed = false
		if size == 0 {
			k.held = bytes.Clone(data)
			break
		}
		data = data[size:]
		several = several || ended && text != "" && text != "\n"
		if !ended {
			out = append(out, text...)
		}
		ended = ended || text == "\n"
	}
	if several {
		return nil, true
	}
	return out, false
}

// next returns what the first key of the data does, "" for nothing, and how many bytes it
// has; 0 if its end has not come yet. pressed says that the data begins with the escape key
// alone.
func (k *keys) next(data []byte, pressed bool) (text string, size int) {
	b := data[0]
	switch {
	case k.paste && bytes.HasPrefix(data, []byte(pasteEnd)):
		k.paste = false
		return "", len(pasteEnd)
	case k.paste && b == escape && bytes.HasPrefix([]byte(pasteEnd), data):
		return "", 0
	case k.paste && (b == '\n' || b == '\r' || b == '\t'):
		return " ", 1
	case b == '\n', b == '\r':
		return "\n", 1
	case b == escape && !k.paste:
		return k.sequence(data, pressed)
	case b < ' ' || b == 0x7f:
		if !k.paste && bytes.IndexByte([]byte(edits), b) >= 0 {
			return string(b), 1
		}
		return "", 1
	case !utf8.FullRune(data):
		return "", 0
	}
	r, size := utf8.DecodeRune(data)
	if r == utf8.RuneError && size == 1 || !visible.OneLine(string(r)) {
		return "", size
	}
	return string(r), size
}

// sequence is next for what begins with an escape: ESC [ parameters letter, ESC O letter
// (xterm's "ctlseqs"), ESC [ [ letter (console_codes(4)), or a key with Alt.
func (k *keys) sequence(data []byte, pressed bool) (text string, size int) {
	if len(data) == 1 {
		return "", 0
	}
	end := 2
	switch {
	case data[1] == '[' && len(data) > 2 && data[2] == '[':
		end = 3
	case data[1] == '[':
		for end < len(data) && end < longest && data[end] >= ' ' && data[end] < '@' {
			end++
		}
	case data[1] != 'O' && pressed, data[1] == escape:
		return "", 1
	case data[1] != 'O':
		if !utf8.FullRune(data[1:]) {
			return "", 0
		}
		_, alt := utf8.DecodeRune(data[1:])
		return "", 1 + alt
	}
	if end == len(data) {
		return "", 0
	}
	if data[end] < ' ' || data[end] >= 0x7f { // no sequence; the key counts
		return "", end
	}
	name := string(data[1 : end+1])
	k.paste = name == "[200~"
	return sequences[name], end + 1
}
