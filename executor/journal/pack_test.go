package journal

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNextLimit(t *testing.T) {
	for size, want := range map[int]int{
		0:                0, // then CopyLimit holds
		150 << 10:        300 << 10,
		450 << 10:        MostCopy,
		500 << 10:        MostCopy,
		720 << 10:        MostCopy,
		800 << 10:        1000 << 10, // too close to MostCopy
		1000 << 10:       1250 << 10,
		100 * 1000 << 10: 125 * 1000 << 10,
	} {
		if got := nextLimit(size); got != want {
			t.Errorf("nextLimit(%d) = %d, want %d", size, got, want)
		}
	}
}

// TestUnpackIsBounded checks that a copy that would fill the memory is refused
// before it does, and is never made.
func TestUnpackIsBounded(t *testing.T) {
	j := create(t, filepath.Join(t.TempDir(), "j"))
	defer j.Close()
	text := strings.Repeat("x", 100_000)
	for range 10 {
		if _, err := j.Append(Record{Event: Guarded, Time: time.Now(), Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	c := j.Copy()
	size := int(j.size)
	if lines, head, err := unpack(c.Packed, size); err != nil || len(lines) != size || head != c.Head {
		t.Errorf("unpack of exactly the limit = %d bytes, head %v, %v", len(lines), head, err)
	}
	var bad *CopyError
	for _, most := range []int{size - 1, size / 2, 100, 1} {
		if lines, _, err := unpack(c.Packed, most); !errors.As(err, &bad) || lines != nil {
			t.Errorf("unpack to at most %d of %d bytes = %d bytes, %v", most, size, len(lines), err)
		}
	}
	if lines := j.has.whole.lines; lines < j.size || lines > j.size+100 {
		t.Errorf("the pack reports %d bytes, the journal has %d", lines, j.size)
	}
	j.has.whole.lines = mostUnpacked + 1
	if c := j.Copy(); c.Packed != nil || c.Elided != 11 || c.Head != j.Head() {
		t.Errorf("a copy too large to unpack has %d bytes, %d elided", len(c.Packed), c.Elided)
	}
}
