package vswitch

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// A table maps nonzero 64-bit keys to entries. The number of entries is bounded. Readers take no lock; writers share a mutex.
//
// It is an open-addressing hash table with linear probing that is at most half full. The hash has a secret seed, because a
// hostile guest chooses the keys. A slot is emptied before it is given to another key, and a reader checks the key again after it
// has read the rest of the slot. A reader therefore sees the right entry, or none while the slot changes. To miss an entry
// for that moment is harmless: the frame is flooded, or the neighbour is looked up again under the lock.
type table struct {
	seed  maphash.Seed
	mask  uint64
	limit int
	slots []slot

	mu        sync.Mutex    // guards writing, and the following fields
	count     int           // number of entries
	nextSweep time.Duration // when a full table may be searched for expired entries again
}

// A slot holds one entry; key 0 marks an empty slot. Times are nanoseconds on the switch's clock. A slot has 32 bytes, so that none
// straddles two cache lines.
type slot struct {
	key, value atomic.Uint64
	seen       atomic.Int64
	probed     atomic.Int64
}

// An entry is a copy of a slot.
type entry struct {
	key, value uint64
	seen       time.Duration // when the entry was last confirmed
	probed     time.Duration // when a confirmation was last asked for; never before seen. Stations do not use it.
}

// sweepInterval is the least time between two searches of a full table for expired entries.
const sweepInterval = time.Second

// touchInterval is the least time between two writes of an entry's time, so that readers of a busy entry keep its cache line.
const touchInterval = time.Second

func newTable(limit int) *table {
	size := 16
	for size < 2*limit {
		size *= 2
	}
	return &table{seed: maphash.MakeSeed(), mask: uint64(size - 1), limit: limit, slots: make([]slot, size)}
}

// home returns the slot at which the search for a key begins.
func (t *table) home(key uint64) uint64 { return maphash.Comparable(t.seed, key) & t.mask }

// find returns the slot of key and its entry, without the time of the last probe. Another goroutine may give the slot to another
// key at any time.
func (t *table) find(key uint64) (s *slot, e entry, ok bool) {
	i := t.home(key)
	for range t.slots {
		s = &t.slots[i]
		switch s.key.Load() {
		case 0: // before the next case: key may be 0, which has no entry
			return nil, entry{}, false
		case key:
			e = entry{key: key, value: s.value.Load(), seen: time.Duration(s.seen.Load())}
			return s, e, s.key.Load() == key
		}
		i = (i + 1) & t.mask
	}
	return nil, entry{}, false
}

func (s *slot) load(key uint64) entry {
	return entry{key, s.value.Load(), time.Duration(s.seen.Load()), time.Duration(s.probed.Load())}
}

// store replaces the contents of the slot. The key is absent until the end, so that no reader combines two entries.
func (s *slot) store(e entry) {
	s.key.Store(0)
	s.value.Store(e.value)
	s.seen.Store(int64(e.seen))
	s.probed.Store(int64(e.probed))
	s.key.Store(e.key)
}

// touch confirms an entry that find returned with the time seen.
func (s *slot) touch(seen, now time.Duration) {
	if now-seen >= touchInterval {
		s.seen.Store(int64(now))
	}
}

// probe reports whether the caller is to ask for a confirmation of the entry: one caller in probeInterval is.
func (s *slot) probe(now time.Duration) bool {
	probed := s.probed.Load()
	return now-time.Duration(probed) >= probeInterval && s.probed.CompareAndSwap(probed, int64(now))
}

// put adds or replaces the entry of key, confirmed now. If the table is full, put first removes the entries for which expired
// returns true, at most once in sweepInterval: otherwise a sender of invented keys could make every frame search the table. It
// reports whether the table now has the entry. Key 0 never has one.
func (t *table) put(key, value uint64, now time.Duration, expired func(entry) bool) bool {
	if key == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, _, known := t.find(key); !known && t.count >= t.limit {
		if now < t.nextSweep {
			return false
		}
		t.nextSweep = now + sweepInterval
		t.removeLocked(expired)
	}
	return t.setLocked(entry{key, value, now, now})
}

// set adds or replaces an entry and makes no room for it. It reports whether the table now has the entry; its key must not be 0.
func (t *table) set(e entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.setLocked(e)
}

func (t *table) setLocked(e entry) bool {
	if s, _, ok := t.find(e.key); ok {
		s.value.Store(e.value)
		s.seen.Store(int64(e.seen))
		s.probed.Store(int64(e.probed))
		return true
	}
	if t.count >= t.limit {
		return false
	}
	i := t.home(e.key)
	for t.slots[i].key.Load() != 0 {
		i = (i + 1) & t.mask
	}
	t.slots[i].store(e)
	t.count++
	return true
}

// remove deletes every entry for which gone returns true.
func (t *table) remove(gone func(entry) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(gone)
}

func (t *table) removeLocked(gone func(entry) bool) {
	for i := 0; i < len(t.slots); {
		s := &t.slots[i]
		if key := s.key.Load(); key != 0 && gone(s.load(key)) {
			t.deleteLocked(uint64(i)) // may move another entry into this slot: examine it again
			continue
		}
		i++
	}
}

// deleteLocked empties slot i and closes the gap: a later entry moves up unless that would put it before its home.
func (t *table) deleteLocked(i uint64) {
	for j := (i + 1) & t.mask; ; j = (j + 1) & t.mask {
		key := t.slots[j].key.Load()
		if key == 0 {
			break
		}
		if (j-t.home(key))&t.mask >= (j-i)&t.mask {
			t.slots[i].store(t.slots[j].load(key))
			i = j
		}
	}
	t.slots[i].key.Store(0)
	t.count--
}

// each calls f for every entry.
func (t *table) each(f func(entry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.slots {
		if key := t.slots[i].key.Load(); key != 0 {
			f(t.slots[i].load(key))
		}
	}
}

// untilSweep returns the time until a full table may be searched for expired entries again.
func (t *table) untilSweep(now time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return min(max(t.nextSweep-now, 0), sweepInterval)
}

// delaySweep keeps a full table from being searched for expired entries before a time.
func (t *table) delaySweep(before time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextSweep = before
}
