package stack

import (
	"io"
	"sync"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// BenchmarkEcho measures a small ICMP echo request and its reply.
func BenchmarkEcho(b *testing.B) {
	pod, err := New(podConfig())
	if err != nil {
		b.Fatal(err)
	}
	defer pod.Close()
	request := []vswitch.Frame{{Data: echoRequest(b, otherAddress, podAddress, 1, make([]byte, 56))}}
	batch := make([]vswitch.Frame, 1)
	b.SetBytes(int64(len(request[0].Data)))
	b.ReportAllocs()
	for b.Loop() {
		pod.Transmit(request)
		if _, err := pod.Receive(batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnwanted measures a frame that the endpoint drops.
func BenchmarkUnwanted(b *testing.B) {
	pod, err := New(podConfig())
	if err != nil {
		b.Fatal(err)
	}
	defer pod.Close()
	frame := []vswitch.Frame{{Data: echoRequest(b, podAddress, otherAddress, 1, nil)}}
	b.ReportAllocs()
	for b.Loop() {
		pod.Transmit(frame)
	}
}

// BenchmarkKeptPort measures a download through a kept port, in writes of 64 KiB.
func BenchmarkKeptPort(b *testing.B) {
	pod, client, _ := newPair(b)
	keep(b, pod, 8080, target(b, echoBack))
	c := dialPair(b, client, pod, 8080)
	chunk := make([]byte, copySize)
	b.SetBytes(copySize)
	var writing sync.WaitGroup
	writing.Go(func() {
		for range b.N {
			_, _ = c.Write(chunk)
		}
		_ = c.CloseWrite()
	})
	if n, err := io.Copy(io.Discard, c); n != int64(b.N)*copySize || err != nil {
		b.Errorf("%d bytes, %v", n, err)
	}
	writing.Wait()
}
