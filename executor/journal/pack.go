package journal

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// A pack holds the lines of a journal in compressed form, as short lines; see
// [shorten]. Its older lines are in complete members of a gzip stream. Its
// newer ones, the tail, are kept as they are and are also in one more member,
// which is never finished: it grows record by record. That is quick but
// compresses less well, so from time to time the whole tail is compressed again
// at once.
type pack struct {
	members []byte // complete ones; bytes once written do not change
	tail    []byte
	open    bytes.Buffer  // the unfinished member
	fed     int           // how much of the tail is in it
	sum     uint32        // CRC-32 of that
	deflate *flate.Writer // to open

	elided int   // records
	lines  int64 // bytes of the lines in full, at most
}

const (
	// mostTail is how long a tail grows. The compression looks back 32 kB, so
	// longer members lose little by starting afresh.
	mostTail = 64 << 10
	// gzipHeader begins a member without name and time, of an unknown system.
	gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
	// lastBlock ends a member's compressed data after a flush: an empty block,
	// marked as the last one.
	lastBlock = "\x01\x00\x00\xff\xff"
	// trailerSize is the size of a CRC-32 and of a length.
	trailerSize = 8
)

// add adds a short line.
func (p *pack) add(short []byte, elided bool) {
	p.tail = append(p.tail, short...)
	p.lines += int64(len(short) + hashesSize)
	if elided {
		p.elided++
	}
	if len(p.tail) < mostTail {
		return
	}
	p.open.Reset()
	p.fed, p.sum = 0, 0
	p.feed(false)
	p.members = append(p.members, p.open.Bytes()...)
	p.members = trailer(p.members, p.sum, p.fed)
	p.open.Reset()
	p.tail, p.fed, p.sum = p.tail[:0], 0, 0
}

// feed writes the rest of the tail to the open member.
func (p *pack) feed(more bool) {
	if p.fed == len(p.tail) {
		return
	}
	// Writing to a bytes.Buffer cannot fail.
	if p.deflate == nil {
		p.deflate, _ = flate.NewWriter(&p.open, flate.BestCompression)
	}
	if p.fed == 0 {
		p.open.WriteString(gzipHeader)
		p.deflate.Reset(&p.open)
	}
	rest := p.tail[p.fed:]
	_, _ = p.deflate.Write(rest)
	if more {
		_ = p.deflate.Flush()
	} else {
		_ = p.deflate.Close()
	}
	p.fed, p.sum = len(p.tail), crc32.Update(p.sum, crc32.IEEETable, rest)
}

func trailer(member []byte, sum uint32, size int) []byte {
	member = binary.LittleEndian.AppendUint32(member, sum)
	return binary.LittleEndian.AppendUint32(member, uint32(size))
}

// size returns the length of bytes.
func (p *pack) size() int {
	if len(p.tail) == 0 {
		return len(p.members)
	}
	p.feed(true)
	return len(p.members) + p.open.Len() + len(lastBlock) + trailerSize
}

// bytes returns the lines as a gzip stream. Later calls do not change it.
func (p *pack) bytes() []byte {
	size := p.size()
	if len(p.tail) == 0 {
		return slices.Clip(p.members)
	}
	// The open member cannot be returned in place, since its end here is where
	// the next record goes.
	b := append(make([]byte, 0, size), p.members...)
	b = append(b, p.open.Bytes()...)
	b = append(b, lastBlock...)
	return trailer(b, p.sum, p.fed)
}
