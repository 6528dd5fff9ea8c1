package main

import (
	"os"

	"golang.org/x/term"

	"github.com/lsst-ts/csu/compiler/review"
)

// style is how texts are written on this console: in colour on a terminal only,
// and not where NO_COLOR asks for none.
func (c *console) style() review.Terminal {
	f, isFile := c.out.(*os.File)
	colour := isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return review.Terminal{Width: c.width, Colour: colour}
}
