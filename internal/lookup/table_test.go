package lookup

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// keyFor returns a key of a narrow table.
func keyFor(n uint64) Key { return Key{Hi: n} }

func neverExpires(Entry) bool { return false }

func contents(t *Table) map[uint64][2]uint64 {
	m := make(map[uint64][2]uint64)
	t.Each(func(e Entry) { m[e.Key.Hi] = [2]uint64{e.Value, uint64(e.Seen)} })
	return m
}

func TestTableLimit(t *testing.T) {
	for _, test := range []struct{ limit, slots int }{{0, 16}, {1, 16}, {8, 16}, {9, 32}, {1024, 2048}} {
		table := New(test.limit, true)
		if len(table.slots) != test.slots {
			t.Errorf("a table of %d has %d slots, want %d", test.limit, len(table.slots), test.slots)
		}
		for key := uint64(1); key <= uint64(test.limit)+5; key++ {
			if got, want := table.Put(keyFor(key), key, 0, neverExpires), key <= uint64(test.limit); got != want {
				t.Errorf("limit %d: put number %d = %v, want %v", test.limit, key, got, want)
			}
		}
		if test.limit > 0 && !table.Put(keyFor(1), 99, 5, neverExpires) {
			t.Errorf("limit %d: a full table does not replace", test.limit)
		}
		if got := len(contents(table)); got != test.limit || table.count != test.limit {
			t.Errorf("limit %d: %d entries, counted as %d", test.limit, got, table.count)
		}
	}
}

// Key 0 marks an empty slot. It never has an entry, not even the remains of a removed one.
func TestTableZeroKey(t *testing.T) {
	table := New(4, true)
	if table.Put(keyFor(0), 7, 7, neverExpires) {
		t.Error("put accepts key 0")
	}
	for key := uint64(1); key <= 4; key++ {
		table.Put(keyFor(key), 7, 7, neverExpires)
	}
	table.Remove(func(Entry) bool { return true })
	if _, value, _, ok := table.Find(keyFor(0)); ok {
		t.Errorf("find(0) = %d", value)
	}
	if table.count != 0 {
		t.Errorf("%d entries, want none", table.count)
	}
}

// A full table removes expired entries for a new one, and no others.
func TestTableExpiry(t *testing.T) {
	table := New(8, true)
	for key := uint64(1); key <= 8; key++ {
		table.Put(keyFor(key), key*10, time.Duration(key), neverExpires)
	}
	old := func(e Entry) bool { return e.Seen <= 3 && e.Value != 20 }
	if !table.Put(keyFor(9), 90, 9, old) {
		t.Fatal("put fails where entries have expired")
	}
	want := map[uint64][2]uint64{2: {20, 2}, 4: {40, 4}, 5: {50, 5}, 6: {60, 6}, 7: {70, 7}, 8: {80, 8}, 9: {90, 9}}
	if diff := cmp.Diff(want, contents(table)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// A full table is searched at most once a second, whatever the number of new keys.
func TestTableSweepsRarely(t *testing.T) {
	table := New(8, true)
	for key := uint64(1); key <= 8; key++ {
		table.Put(keyFor(key), key, 0, neverExpires)
	}
	searched := 0
	never := func(Entry) bool { searched++; return false }
	for key := uint64(100); key < 200; key++ {
		table.Put(keyFor(key), key, 5*time.Second, never)
	}
	if searched != 8 {
		t.Errorf("%d entries were examined, want 8", searched)
	}
	if !table.Put(keyFor(200), 200, 6*time.Second, func(Entry) bool { return true }) {
		t.Error("a second later, expired entries are not removed")
	}
}

// Touch writes the time after a second, and not before.
func TestTableTouch(t *testing.T) {
	table := New(1, true)
	table.Put(keyFor(1), 1, 0, neverExpires)
	for _, test := range []struct{ now, want time.Duration }{{time.Second - 1, 0}, {time.Second, time.Second}, {time.Minute, time.Minute}} {
		s, _, seen, _ := table.Find(keyFor(1))
		s.Touch(seen, test.now)
		if _, _, seen, _ := table.Find(keyFor(1)); seen != test.want {
			t.Errorf("touched at %v: seen %v, want %v", test.now, seen, test.want)
		}
	}
}

// collide returns n keys whose home is the given slot.
func collide(t *Table, home uint64, n int) (keys []uint64) {
	for key := uint64(1); len(keys) < n; key++ {
		if t.home(keyFor(key)) == home {
			keys = append(keys, key)
		}
	}
	return keys
}

// Entries whose probe sequence wraps around the end of the table are found after any one of them is removed.
func TestTableRemoveWrapsAround(t *testing.T) {
	for remove := range 6 {
		table := New(8, true)
		last := table.mask
		// Two keys each with the last slot but one, the last slot and slot 0 as their home.
		keys := append(append(collide(table, last-1, 2), collide(table, last, 2)...), collide(table, 0, 2)...)
		want := make(map[uint64][2]uint64)
		for i, key := range keys {
			table.Put(keyFor(key), key+1, time.Duration(i), neverExpires)
			if i != remove {
				want[key] = [2]uint64{key + 1, uint64(i)}
			}
		}
		table.Remove(func(e Entry) bool { return e.Key.Hi == keys[remove] })
		if diff := cmp.Diff(want, contents(table)); diff != "" {
			t.Errorf("entry %d removed (-want +got):\n%s", remove, diff)
		}
		for key := range want {
			if _, value, _, ok := table.Find(keyFor(key)); !ok || value != key+1 {
				t.Errorf("entry %d removed: find(%d) = %d, %v", remove, key, value, ok)
			}
		}
		if _, _, _, ok := table.Find(keyFor(keys[remove])); ok {
			t.Errorf("entry %d removed: it is still found", remove)
		}
	}
}

// Several entries of one probe sequence are removed in one pass.
func TestTableRemoveMany(t *testing.T) {
	for mask := range 1 << 6 {
		table := New(8, true)
		keys := append(collide(table, table.mask, 4), collide(table, 1, 2)...)
		want := make(map[uint64][2]uint64)
		for i, key := range keys {
			table.Put(keyFor(key), uint64(i), 0, neverExpires)
			if mask>>i&1 == 0 {
				want[key] = [2]uint64{uint64(i), 0}
			}
		}
		table.Remove(func(e Entry) bool { return mask>>e.Value&1 != 0 })
		if diff := cmp.Diff(want, contents(table)); diff != "" {
			t.Errorf("removal %06b (-want +got):\n%s", mask, diff)
		}
		for key := range want {
			if _, _, _, ok := table.Find(keyFor(key)); !ok {
				t.Errorf("removal %06b: %d is not found", mask, key)
			}
		}
	}
}

// TestTableRemoveOldest checks that the older half of the entries goes, also where all are of one age.
func TestTableRemoveOldest(t *testing.T) {
	for name, seen := range map[string]func(n uint64) time.Duration{
		"ages":   func(n uint64) time.Duration { return time.Duration(n) },
		"pairs":  func(n uint64) time.Duration { return time.Duration(n / 3) },
		"no age": func(uint64) time.Duration { return 7 },
	} {
		for count := range uint64(10) {
			table := New(64, true)
			for n := uint64(1); n <= count; n++ {
				table.Put(keyFor(n), 0, seen(n), neverExpires)
			}
			table.RemoveOldest()
			left := contents(table)
			if len(left) != int(count/2) {
				t.Errorf("%s: %d of %d entries are left", name, len(left), count)
			}
			for n := uint64(1); n <= count; n++ {
				if _, ok := left[n]; !ok && len(left) > 0 && seen(n) > seen(count+1-uint64(len(left))) {
					t.Errorf("%s: %d of %d is gone before older ones: %v", name, n, count, left)
				}
			}
		}
	}
}

// A search in a table without an empty slot ends. The limit keeps half of the slots empty, so that the test fills them itself.
func TestTableFindEnds(t *testing.T) {
	table := New(0, true)
	for i := range table.slots {
		table.slots[i].upper.Store(uint64(i) + 1)
	}
	if _, _, _, ok := table.Find(keyFor(1 << 40)); ok {
		t.Error("an absent key is found")
	}
}

// An oracle is a model of a table that uses a map.
type oracle struct {
	limit   int
	entries map[uint64][2]uint64 // value and time
}

func (o *oracle) Remove(gone func(Entry) bool) {
	for key, values := range o.entries {
		if gone(Entry{Key: keyFor(key), Value: values[0], Seen: time.Duration(values[1])}) {
			delete(o.entries, key)
		}
	}
}

func (o *oracle) Put(key, value uint64, now time.Duration, expired func(Entry) bool) bool {
	_, known := o.entries[key]
	if !known && len(o.entries) >= o.limit {
		o.Remove(expired)
	}
	if !known && len(o.entries) >= o.limit {
		return false
	}
	o.entries[key] = [2]uint64{value, uint64(now)}
	return true
}

// readAlong looks up keys until stop and checks that it never finds the value of another key. Values contain their key.
func readAlong(t *testing.T, table *Table, keys uint64, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		key := 1 + rand.Uint64N(keys)
		if s, value, seen, ok := table.Find(keyFor(key)); ok {
			if value>>32 != key {
				t.Errorf("find(%d) = the value of %d", key, value>>32)
				return
			}
			s.Touch(seen, seen) // writes nothing
		}
	}
}

// A table and its oracle agree after every step, with concurrent readers.
func TestTableAgainstOracle(t *testing.T) {
	const limit, keys, steps = 64, 160, 20000
	table, oracle := New(limit, true), &oracle{limit: limit, entries: make(map[uint64][2]uint64)}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() { readAlong(t, table, keys, stop) })
	}
	random := rand.New(rand.NewPCG(2, 3))
	for step := range uint64(steps) {
		key, now := 1+random.Uint64N(keys), time.Duration(step)*time.Second
		if random.IntN(8) == 0 {
			gone := func(e Entry) bool { return e.Key.Hi == key || e.Value&0xff == step&0xff }
			table.Remove(gone)
			oracle.Remove(gone)
		} else {
			expired := func(e Entry) bool { return now-e.Seen > 500*time.Second }
			want := oracle.Put(key, key<<32|step, now, expired)
			if got := table.Put(keyFor(key), key<<32|step, now, expired); got != want {
				t.Fatalf("step %d: put = %v, want %v", step, got, want)
			}
		}
		_, value, _, ok := table.Find(keyFor(key))
		if want, known := oracle.entries[key]; ok != known || value != want[0] && ok {
			t.Fatalf("step %d: find(%d) = %x, %v; want %x, %v", step, key, value, ok, want[0], known)
		}
		if step%64 == 0 {
			if diff := cmp.Diff(oracle.entries, contents(table)); diff != "" {
				t.Fatalf("step %d (-want +got):\n%s", step, diff)
			}
		}
	}
	close(stop)
	readers.Wait()
}

// TestTableSpreads fills tables with keys that differ in a few bits only, as addresses of one network or MACs of one vendor do. A search takes a
// few steps on average: in a table half full with random homes it is 1.5 (linear probing).
func TestTableSpreads(t *testing.T) {
	const n = 4096
	for name, of := range map[string]func(i uint64) Key{
		"IPv4":                 func(i uint64) Key { return Key{Hi: (0x0a000000 + i) << 32} },
		"IPv4, one of a /20":   func(i uint64) Key { return Key{Hi: (0x0a000001 + i<<12) << 32} },
		"MAC":                  func(i uint64) Key { return Key{Hi: 0x020000000000 + i} },
		"MAC, first bytes":     func(i uint64) Key { return Key{Hi: 1 + i<<32} },
		"IPv6":                 func(i uint64) Key { return Key{0x20010db8 << 32, i} },
		"IPv6, one of a /64":   func(i uint64) Key { return Key{0x20010db8<<32 + i, 1} },
		"IPv6, highest bits":   func(i uint64) Key { return Key{0x20010db8 << 32, i << 52} },
		"IPv6, in both halves": func(i uint64) Key { return Key{0x20010db8<<32 + i, i} },
		"IPv6, opposite":       func(i uint64) Key { return Key{0x20010db8<<32 + i, ^i} },
	} {
		table, steps := New(n, of(0).Lo == 0 && of(1).Lo == 0), 0
		for i := range uint64(n) {
			table.Put(of(i), 1, 0, neverExpires)
		}
		for i := range table.slots {
			if table.slots[i].upper.Load() != 0 {
				steps += 1 + int((uint64(i)-table.home(table.load(uint64(i)).Key))&table.mask)
			}
		}
		if table.count != n || steps > 3*n {
			t.Errorf("%s: %d of %d entries, %.1f steps on average", name, table.count, n, float64(steps)/n)
		}
	}
}
