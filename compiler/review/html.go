package review

import (
	"io"

	"github.com/lsst-ts/csu/executor/plan"
)

// HTML writes the plan as one page.
func HTML(w io.Writer, p *plan.Plan) error { return Markdown(w, p) }
