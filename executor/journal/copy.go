package journal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

const (
	// CopyLimit is the size up to which a copy has everything.
	CopyLimit = 200 << 10
	// MostCopy is the size above which there is no copy: a ConfigMap holds 1 MB.
	MostCopy = 900 << 10
)

// Head is the last record of a journal, or of the part of it that was copied. As
// each record's hash covers the one before, two journals with the same head
// are the same up to there. The zero Head is that of a journal without records.
type Head struct {
	Seq  int    `json:"seq"`
	Hash string `json:"hash"`
}

// Copy is a journal in a form small enough to be kept in the cluster.
type Copy struct {
	Head Head
	// Packed is a gzip stream for [Unpack], or nil if it would be larger than
	// [MostCopy], or than Unpack accepts. It must not be changed; later records
	// don't change it.
	Packed []byte
	// Elided is how many of the records Packed lacks: notes, or all of them.
	Elided int
}

// Copy returns the journal as it is now. Its cost is that of compressing the
// records since the last call, and of moving Packed once in memory.
func (j *Journal) Copy() Copy {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := Copy{Head: j.has.head()}
	c.Packed, c.Elided = j.has.copied()
	return c
}

// Head returns the last record that is durable.
func (j *Journal) Head() Head {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.has.head()
}

// Has reports whether the journal has the record that h names. Every journal has
// the zero Head.
func (j *Journal) Has(h Head) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if h == (Head{}) {
		return true
	}
	return 0 < h.Seq && h.Seq <= len(j.has.hashes) && h.Hash == j.has.hash(h.Seq)
}

// memory is what a journal has of its records besides the file.
type memory struct {
	hashes [][sha256.Size]byte // from which the next record follows
	whole  pack
	short  *pack // whole without the notes that were elided; nil until it's needed
	limit  int   // the size of the copy at which notes are elided the next time
}

// add takes a record and its line.
func (m *memory) add(line []byte, r *Record) {
	hash, _ := hex.DecodeString(r.link()) // misplaced has checked it
	m.hashes = append(m.hashes, [sha256.Size]byte(hash))
	short := shorten(line)
	m.whole.add(short, r.Event == Elided)
	if m.short != nil {
		m.short.add(short, r.Event == Elided)
	}
}

func (m *memory) hash(seq int) string {
	if seq == 0 {
		return ""
	}
	return hex.EncodeToString(m.hashes[seq-1][:])
}

func (m *memory) head() Head { return Head{len(m.hashes), m.hash(len(m.hashes))} }

// copied returns the packed lines, and how many of the records are elided.
func (m *memory) copied() (packed []byte, elided int) {
	p := m.short
	if p == nil {
		p = &m.whole
	}
	if p.size() > max(CopyLimit, m.limit) {
		p = m.elide(p)
		m.short, m.limit = p, nextLimit(p.size())
	}
	if p.size() > MostCopy || p.lines > mostUnpacked {
		return nil, len(m.hashes)
	}
	return p.bytes(), p.elided
}

// nextLimit returns how large a copy grows before notes are elided again. It
// doubles, which keeps the effort in proportion to the records; but as long as it
// is not near to MostCopy, notes are elided once more before the copy is given up.
func nextLimit(size int) int {
	if limit := 2 * size; limit <= MostCopy {
		return limit
	}
	return max(MostCopy, size+size/4)
}

// elide returns the lines of a pack, but instead of a note of an attempt that has
// its outcome only its hash. A hash can't be compressed, and most notes can, so
// short ones stay.
func (m *memory) elide(from *pack) *pack {
	type attempt struct {
		step   string
		number int
	}
	type note struct {
		attempt attempt
		seq     int
		time    time.Time
	}
	var lines [][]byte
	notes, settled := map[int]note{}, map[attempt]bool{} // notes by their place in lines
	for short := range from.all() {
		// These are lines that were checked when they were added.
		var r Record
		_ = json.Unmarshal(short, &r)
		a := attempt{r.Step, r.Attempt}
		switch r.Event {
		case Noted:
			notes[len(lines)] = note{a, r.Seq, r.Time}
		case Outcome:
			settled[a] = true
		}
		lines = append(lines, bytes.Clone(short))
	}
	to := &pack{elided: from.elided}
	for i, short := range lines {
		n, isNote := notes[i]
		elided := false
		if isNote && settled[n.attempt] {
			line, _ := encode(&Record{Seq: n.seq, Time: n.time, Event: Elided, Original: m.hash(n.seq)})
			if rest := shorten(line); len(short) > 2*len(rest) {
				short, elided = rest, true
			}
		}
		to.add(short, elided)
	}
	return to
}

// all yields the short lines of a pack. A line is good only until the next.
func (p *pack) all() func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		packed := p.bytes()
		if len(packed) == 0 {
			return
		}
		// What was packed in memory can be read again.
		in, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			panic(fmt.Sprintf("journal: unpack what was packed: %v", err))
		}
		for line, err := range eachLine(in) {
			switch {
			case err == io.EOF:
				return
			case err != nil:
				panic(fmt.Sprintf("journal: unpack what was packed: %v", err))
			case !yield(line):
				return
			}
		}
	}
}
