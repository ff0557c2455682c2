package lookup

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Table maps keys to entries. The number of entries is bounded. Readers take no lock; writers share a mutex. The upper half of a key must
// not be 0. A narrow table uses only that half.
//
// It is an open-addressing hash table with linear probing that is at most half full. The hash has a secret seed, because a
// hostile guest chooses the keys. A slot is emptied before it is given to another key, and a reader checks the key again after it
// has read the rest of the slot. A reader therefore sees the right entry, or none while the slot changes. To miss an entry
// for that moment is harmless: the frame is flooded, or the neighbour is looked up again under the lock.
type Table struct {
	seed  [3]uint64 // secret
	mask  uint64
	limit int
	slots []Slot
	lower []atomic.Uint64 // lower halves of the keys, by slot; nil in a narrow table

	mu        sync.Mutex    // guards writing, and the following fields
	count     int           // number of entries
	nextSweep time.Duration // when a full table may be searched for expired entries again
}

// A Slot holds one entry; 0 as the upper half of the key marks an empty slot. Times are nanoseconds on the switch's clock. A slot has 32
// bytes, so that none straddles two cache lines.
type Slot struct {
	upper, value atomic.Uint64
	seen         atomic.Int64
	probed       atomic.Int64
}

// An Entry is a copy of a slot.
type Entry struct {
	Key    Key
	Value  uint64
	Seen   time.Duration // when the entry was last confirmed
	Probed time.Duration // when a confirmation was last asked for, never before Seen; of a station: when it was learned at its port
}

// SweepInterval is the least time between two searches of a full table for expired entries.
const SweepInterval = time.Second

// touchInterval is the least time between two writes of an entry's time, so that readers of a busy entry keep its cache line.
const touchInterval = time.Second

// New returns a table for so many entries. A narrow one takes keys whose lower half is 0.
func New(limit int, narrow bool) *Table {
	size := 16
	for size < 2*limit {
		size *= 2
	}
	t := &Table{seed: [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()}, mask: uint64(size - 1), limit: limit, slots: make([]Slot, size)}
	if !narrow {
		t.lower = make([]atomic.Uint64, size)
	}
	return t
}

// home returns the slot at which the search for a key begins. The hash is that of Go's runtime where a processor has no instructions for one
// (memhash64Fallback, runtime/hash64.go), for the two halves of a key; package maphash takes twice as long for a key of IPv6 as for one of IPv4.
func (t *Table) home(k Key) uint64 {
	return fold(fold(k.Hi^t.seed[0], k.Lo^t.seed[1]), t.seed[2]) & t.mask
}

// fold returns the two halves of a product, combined.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Find returns the slot of a key, and the value and time of its entry. Another goroutine may give the slot to another key at any
// time. The results are not an entry, which is too large to be returned in registers.
func (t *Table) Find(k Key) (s *Slot, value uint64, seen time.Duration, ok bool) {
	i := t.home(k)
	for range t.slots {
		s = &t.slots[i]
		switch s.upper.Load() {
		case 0: // before the next case: the key may be 0, which has no entry
			return nil, 0, 0, false
		case k.Hi:
			if t.lower != nil && t.lower[i].Load() != k.Lo {
				break
			}
			value, seen = s.value.Load(), time.Duration(s.seen.Load())
			isSame := t.lower == nil || t.lower[i].Load() == k.Lo
			return s, value, seen, isSame && s.upper.Load() == k.Hi
		}
		i = (i + 1) & t.mask
	}
	return nil, 0, 0, false
}

// load returns the entry of a slot that is not empty.
func (t *Table) load(i uint64) Entry {
	s := &t.slots[i]
	e := Entry{Key{Hi: s.upper.Load()}, s.value.Load(), time.Duration(s.seen.Load()), time.Duration(s.probed.Load())}
	if t.lower != nil {
		e.Key.Lo = t.lower[i].Load()
	}
	return e
}

// store replaces the contents of a slot. The key is absent until the end, so that no reader combines two entries.
func (t *Table) store(i uint64, e Entry) {
	s := &t.slots[i]
	s.upper.Store(0)
	if t.lower != nil {
		t.lower[i].Store(e.Key.Lo)
	}
	s.value.Store(e.Value)
	s.seen.Store(int64(e.Seen))
	s.probed.Store(int64(e.Probed))
	s.upper.Store(e.Key.Hi)
}

// Touch confirms an entry that Find returned with the time seen.
func (s *Slot) Touch(seen, now time.Duration) {
	if now-seen >= touchInterval {
		s.seen.Store(int64(now))
	}
}

// Probe reports whether the caller is to ask for a confirmation of the entry: one caller in an interval is.
func (s *Slot) Probe(now, interval time.Duration) bool {
	probed := s.probed.Load()
	return now-time.Duration(probed) >= interval && s.probed.CompareAndSwap(probed, int64(now))
}

// Probed returns when a confirmation of the entry was last asked for.
func (s *Slot) Probed() time.Duration { return time.Duration(s.probed.Load()) }

// Put adds or replaces the entry of key, confirmed now. If the table is full, Put first removes the entries for which expired
// returns true, at most once in SweepInterval: otherwise a sender of invented keys could make every frame search the table. It
// reports whether the table now has the entry. Key 0 never has one.
func (t *Table) Put(k Key, value uint64, now time.Duration, expired func(Entry) bool) bool {
	if k.Hi == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, _, _, known := t.Find(k); !known && t.count >= t.limit {
		if now < t.nextSweep {
			return false
		}
		t.nextSweep = now + SweepInterval
		t.removeLocked(expired)
	}
	return t.setLocked(Entry{k, value, now, now})
}

// Set adds or replaces an entry and makes no room for it. It reports whether the table now has the entry; the upper half of its key must not be 0.
func (t *Table) Set(e Entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.setLocked(e)
}

func (t *Table) setLocked(e Entry) bool {
	if s, _, _, ok := t.Find(e.Key); ok {
		s.value.Store(e.Value)
		s.seen.Store(int64(e.Seen))
		s.probed.Store(int64(e.Probed))
		return true
	}
	if t.count >= t.limit {
		return false
	}
	i := t.home(e.Key)
	for t.slots[i].upper.Load() != 0 {
		i = (i + 1) & t.mask
	}
	t.store(i, e)
	t.count++
	return true
}

// Remove deletes every entry for which gone returns true.
func (t *Table) Remove(gone func(Entry) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(gone)
}

// RemoveOldest deletes the half of the entries, rounded up, whose last confirmation is the oldest. It takes a time that grows with the table.
func (t *Table) RemoveOldest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := make([]time.Duration, 0, t.count)
	for i := range t.slots {
		if t.slots[i].upper.Load() != 0 {
			seen = append(seen, time.Duration(t.slots[i].seen.Load()))
		}
	}
	if len(seen) == 0 {
		return
	}
	slices.Sort(seen)
	last := seen[(len(seen)-1)/2]
	older, _ := slices.BinarySearch(seen, last)
	equal := (len(seen)+1)/2 - older // of those that were confirmed at the same time
	t.removeLocked(func(e Entry) bool {
		if e.Seen == last {
			equal--
		}
		return e.Seen < last || e.Seen == last && equal >= 0
	})
}

func (t *Table) removeLocked(gone func(Entry) bool) {
	for i := uint64(0); i < uint64(len(t.slots)); {
		if t.slots[i].upper.Load() != 0 && gone(t.load(i)) {
			t.deleteLocked(i) // may move another entry into this slot: examine it again
			continue
		}
		i++
	}
}

// deleteLocked empties slot i and closes the gap: a later entry moves up unless that would put it before its home.
func (t *Table) deleteLocked(i uint64) {
	for j := (i + 1) & t.mask; ; j = (j + 1) & t.mask {
		if t.slots[j].upper.Load() == 0 {
			break
		}
		if e := t.load(j); (j-t.home(e.Key))&t.mask >= (j-i)&t.mask {
			t.store(i, e)
			i = j
		}
	}
	t.slots[i].upper.Store(0)
	t.count--
}

// Each calls f for every entry.
func (t *Table) Each(f func(Entry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.slots {
		if t.slots[i].upper.Load() != 0 {
			f(t.load(uint64(i)))
		}
	}
}

// UntilSweep returns the time until a full table may be searched for expired entries again.
func (t *Table) UntilSweep(now time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return min(max(t.nextSweep-now, 0), SweepInterval)
}

// DelaySweep keeps a full table from being searched for expired entries before a time.
func (t *Table) DelaySweep(before time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextSweep = before
}
