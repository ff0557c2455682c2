package vswitch

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// A table maps a 64-bit key other than zero to a 64-bit value and the time at which it was last confirmed. It never grows
// beyond its limit. Readers take no lock; writers share one mutex.
//
// It is an open-addressing hash table with linear probing, at most half full, and with a secret seed, because a hostile
// guest chooses the keys. A slot is emptied before it is given to another key, and a reader looks at the key again after
// it has read the value: it sees the right value or, for the moment of the change, nothing. Missing an entry for a moment
// is harmless: a frame is flooded, or a neighbour is looked up again under the lock.
type table struct {
	seed  maphash.Seed
	mask  uint64
	limit int
	slots []slot

	mu    sync.Mutex // guards writing
	n     int
	sweep time.Duration // when a full table may be searched for expired entries again
}

type slot struct {
	key, value atomic.Uint64
	seen       atomic.Int64 // nanoseconds
}

// sweepEvery is how often a full table is searched for expired entries at most.
const sweepEvery = time.Second

func newTable(limit int) *table {
	size := 16
	for size < 2*limit {
		size *= 2
	}
	return &table{seed: maphash.MakeSeed(), mask: uint64(size - 1), limit: limit, slots: make([]slot, size)}
}

func (t *table) home(key uint64) uint64 { return maphash.Comparable(t.seed, key) & t.mask }

// find returns the slot of key with its value and time. The slot may be given to another key at any moment.
func (t *table) find(key uint64) (s *slot, value uint64, seen time.Duration, ok bool) {
	i := t.home(key)
	for range t.slots {
		s = &t.slots[i]
		switch s.key.Load() {
		case 0: // first: the key may be 0 too, and that has no entry
			return nil, 0, 0, false
		case key:
			value, seen = s.value.Load(), time.Duration(s.seen.Load())
			return s, value, seen, s.key.Load() == key
		}
		i = (i + 1) & t.mask
	}
	return nil, 0, 0, false
}

// touch confirms an entry that find returned, seen at an earlier time. It writes at most once a second, so that an entry in
// use costs its readers no cache miss.
func (s *slot) touch(seen, now time.Duration) {
	if now-seen >= time.Second {
		s.seen.Store(int64(now))
	}
}

// put adds or replaces the entry of key. When the table is full, entries for which expired is true make room; they are
// looked for at most once a second, because whoever makes up keys would otherwise have the whole table read for each. It
// reports whether there is an entry now; for the key 0 there never is.
func (t *table) put(key, value uint64, now time.Duration, expired func(value uint64, seen time.Duration) bool) bool {
	if key == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, _, _, ok := t.find(key); ok {
		s.value.Store(value)
		s.seen.Store(int64(now))
		return true
	}
	if t.n >= t.limit && now >= t.sweep {
		t.sweep = now + sweepEvery
		t.removeLocked(func(_, value uint64, seen time.Duration) bool { return expired(value, seen) })
	}
	if t.n >= t.limit {
		return false
	}
	i := t.home(key)
	for t.slots[i].key.Load() != 0 {
		i = (i + 1) & t.mask
	}
	t.slots[i].fill(key, value, int64(now))
	t.n++
	return true
}

func (s *slot) fill(key, value uint64, seen int64) {
	s.key.Store(0)
	s.value.Store(value)
	s.seen.Store(seen)
	s.key.Store(key)
}

// remove deletes every entry for which gone is true.
func (t *table) remove(gone func(key, value uint64, seen time.Duration) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(gone)
}

func (t *table) removeLocked(gone func(key, value uint64, seen time.Duration) bool) {
	for i := 0; i < len(t.slots); {
		s := &t.slots[i]
		if key := s.key.Load(); key != 0 && gone(key, s.value.Load(), time.Duration(s.seen.Load())) {
			t.deleteLocked(uint64(i)) // may move another entry here: look at this slot again
			continue
		}
		i++
	}
}

// deleteLocked empties slot i and closes the gap: an entry behind it moves up unless that would put it before its home.
func (t *table) deleteLocked(i uint64) {
	for j := (i + 1) & t.mask; ; j = (j + 1) & t.mask {
		key := t.slots[j].key.Load()
		if key == 0 {
			break
		}
		if (j-t.home(key))&t.mask >= (j-i)&t.mask {
			t.slots[i].fill(key, t.slots[j].value.Load(), t.slots[j].seen.Load())
			i = j
		}
	}
	t.slots[i].key.Store(0)
	t.n--
}

// each calls f for every entry.
func (t *table) each(f func(key, value uint64, seen time.Duration)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.slots {
		if key := t.slots[i].key.Load(); key != 0 {
			f(key, t.slots[i].value.Load(), time.Duration(t.slots[i].seen.Load()))
		}
	}
}

// full tells for how long yet a full table is not searched for expired entries.
func (t *table) full(now time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return min(max(t.sweep-now, 0), sweepEvery)
}

// setFull has a full table not searched for expired entries before until.
func (t *table) setFull(until time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep = until
}
