package lookup

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// wideKeys are n keys of few different halves, including a lower half of 0.
func wideKeys(n int) (keys []Key) {
	for i := range uint64(n) {
		keys = append(keys, Key{Hi: 0xfd<<56 + i%4, Lo: i / 4})
	}
	return keys
}

// A wide table tells keys with the same upper half apart, also for readers without a lock while entries come and go.
func TestWideTable(t *testing.T) {
	const limit, steps = 64, 20000
	keys := wideKeys(160)
	table, model := New(limit, false), map[Key]uint64{}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for random := rand.New(rand.NewPCG(1, 2)); ; {
				select {
				case <-stop:
					return
				default:
				}
				i := random.Uint64N(uint64(len(keys)))
				if _, value, _, ok := table.Find(keys[i]); ok && value>>32 != i {
					t.Errorf("find(%d) = the value of %d", i, value>>32)
					return
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(2, 3))
	for step := range uint64(steps) {
		i := random.Uint64N(uint64(len(keys)))
		if k := keys[i]; random.IntN(3) == 0 {
			table.Remove(func(e Entry) bool { return e.Key == k })
			delete(model, k)
		} else if _, known := model[k]; table.Put(k, i<<32|step, time.Duration(step)*time.Second, neverExpires) {
			model[k] = i<<32 | step
		} else if known || len(model) < limit {
			t.Fatalf("step %d: put fails", step)
		}
		_, value, _, ok := table.Find(keys[i])
		if want, known := model[keys[i]]; ok != known || ok && value != want {
			t.Fatalf("step %d: find = %x, %v; want %x, %v", step, value, ok, want, known)
		}
	}
	close(stop)
	readers.Wait()
	n := 0
	table.Each(func(e Entry) {
		if n++; model[e.Key] != e.Value {
			t.Errorf("%v = %x, want %x", e.Key, e.Value, model[e.Key])
		}
	})
	if n != len(model) || table.count != n {
		t.Errorf("%d entries, counted as %d, want %d", n, table.count, len(model))
	}
}

// A host that chooses addresses cannot make many share a home, even if it knows how the halves are mixed.
func TestHostileWideKeys(t *testing.T) {
	table := New(1024, false)
	homes := make(map[uint64]int)
	for i := range uint64(32) {
		for j := range uint64(32) {
			homes[table.home(Key{Hi: 1 | i<<59, Lo: j << 59})]++
		}
	}
	for _, n := range homes {
		if n > 4*32 {
			t.Errorf("%d keys share a home", n)
		}
	}
}
