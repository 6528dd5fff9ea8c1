package review

import (
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/visible"
)

// A block of a plan's text is a paragraph or a code block: lines indented by four
// spaces.
type block struct {
	Lines []string // without the indent
	Code  bool
}

// Paragraph returns the block as one line.
func (b block) Paragraph() string { return strings.Join(b.Lines, " ") }

func blocks(text string) []block {
	var out []block
	blank := true
	for _, line := range strings.Split(text, "\n") {
		code := strings.HasPrefix(line, "    ")
		last := len(out) - 1
		switch {
		case strings.TrimSpace(line) == "":
			blank = true
			continue
		case code && last >= 0 && out[last].Code:
			if blank {
				out[last].Lines = append(out[last].Lines, "")
			}
			out[last].Lines = append(out[last].Lines, line[4:])
		case code:
			out = append(out, block{Lines: []string{line[4:]}, Code: true})
		case last >= 0 && !out[last].Code && !blank:
			out[last].Lines = append(out[last].Lines, strings.TrimSpace(line))
		default:
			out = append(out, block{Lines: []string{strings.TrimSpace(line)}})
		}
		blank = false
	}
	return out
}

// A span of a paragraph is plain text, or code that was between backticks.
type span struct {
	Text string
	Code bool
}

// spans splits a paragraph. A backtick without a second one is plain.
func spans(s string) []span {
	var out []span
	for s != "" {
		open := strings.IndexByte(s, '`')
		length := -1
		if open >= 0 {
			length = strings.IndexByte(s[open+1:], '`')
		}
		if length <= 0 {
			return append(out, span{Text: s})
		}
		if open > 0 {
			out = append(out, span{Text: s[:open]})
		}
		out = append(out, span{Text: s[open+1 : open+1+length], Code: true})
		s = s[open+length+2:]
	}
	return out
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// shown returns a copy of the plan in which every text is visible: what
// a reviewer sees must be what the plan says.
func shown(p *plan.Plan) *plan.Plan { return visible.Copy(p) }
