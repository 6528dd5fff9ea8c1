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
	// CopyLimit is the size up to which a copy is complete.
	CopyLimit = 200 << 10
	// MostCopy is the size above which no copy is made: a ConfigMap holds 1 MB.
	MostCopy = 900 << 10
)

// Head identifies the last record of a journal, or of the part of it that was
// copied. Since each record's hash covers the one before, two journals with the
// same head are identical up to there. The zero Head is that of a journal
// without records.
type Head struct {
	Seq  int    `json:"seq"`
	Hash string `json:"hash"`
}

// Copy is a journal in a form small enough to be kept in the cluster.
type Copy struct {
	Head Head
	// Packed is a gzip stream for [Unpack], or nil if it would be larger than
	// [MostCopy] or than Unpack accepts. It must not be changed. Later records
	// do not change it.
	Packed []byte
	// Elided is how many records are missing from Packed: notes, or all of
	// them.
	Elided int
}

// Copy returns a copy of the journal as it is now. It compresses the records
// added since the last call and copies Packed once in memory.
func (j *Journal) Copy() Copy {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := Copy{Head: j.has.head()}
	c.Packed, c.Elided = j.has.copied()
	return c
}

// Head returns the last durable record.
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

// memory is what a journal keeps in memory of its records.
type memory struct {
	hashes [][sha256.Size]byte // the hash that the next record follows
	whole  pack
	short  *pack // all lines, without the elided notes; nil until needed
	limit  int   // the size of the copy at which notes are next elided
}

// add adds a record and its line.
func (m *memory) add(line []byte, r *Record) {
	hash, _ := hex.DecodeString(r.link()) // misplaced checked it
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

// copied returns the packed lines, and how many records are elided.
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

// nextLimit returns the size at which notes are elided the next time. It doubles, which keeps the effort
// proportional to the number of records. Near MostCopy, notes are elided once more before there is no copy at
// all.
func nextLimit(size int) int {
	if limit := 2 * size; limit <= MostCopy {
		return limit
	}
	return max(MostCopy, size+size/4)
}

// elide returns the lines of a pack, with each note of an attempt that has an
// outcome replaced by its hash. A hash cannot be compressed and most notes can,
// so short notes stay.
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
	notes, settled := map[int]note{}, map[attempt]bool{} // notes by their index in lines
	for short := range from.all() {
		// These lines were checked when they were added.
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

// all yields the short lines of a pack. A line is valid only until the next.
func (p *pack) all() func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		packed := p.bytes()
		if len(packed) == 0 {
			return
		}
		// Anything packed in memory can be read again.
		in, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			panic(fmt.Sprintf("journal: unpack the packed lines: %v", err))
		}
		for line, err := range eachLine(in) {
			switch {
			case err == io.EOF:
				return
			case err != nil:
				panic(fmt.Sprintf("journal: unpack the packed lines: %v", err))
			case !yield(line):
				return
			}
		}
	}
}
