package keeper

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/podnet"
)

// What a switch has learned is kept in a file beside the state file, for a keeper that continues after this one was killed. It has no
// effect on what is given back. The file is what a switch has sent, and the next switch checks it.

const (
	learnedName  = "learned.json"
	learnedLimit = 64 << 10               // bytes that are read at most
	learnedEvery = 100 * time.Millisecond // between two writes: the switch decides how often it reports
)

// A learnedFile writes the file in a separate goroutine: the loop must not wait for a disk because of a switch.
type learnedFile struct {
	path           string
	texts          chan []byte // the newest text
	closing, ended chan struct{}
	log            *zap.Logger
}

func openLearned(dir string, log *zap.Logger) *learnedFile {
	f := &learnedFile{path: filepath.Join(dir, learnedName), texts: make(chan []byte, 1), closing: make(chan struct{}), ended: make(chan struct{}), log: log}
	go f.run()
	return f
}

// write replaces the content of the file soon. A nil file has none. The loop calls it.
func (f *learnedFile) write(text []byte) {
	if f == nil {
		return
	}
	select {
	case <-f.texts:
	default:
	}
	f.texts <- text
}

func (f *learnedFile) run() {
	defer close(f.ended)
	failed := false
	for {
		var text []byte
		select {
		case text = <-f.texts:
		case <-f.closing:
			return
		}
		err := replaceFile(f.path, text)
		if err != nil && !failed {
			f.log.Warn("lease not written to the state directory: a keeper that continues after this one was killed does not know it", zap.Error(err))
		}
		failed = err != nil
		select {
		case <-time.After(learnedEvery):
		case <-f.closing:
			return
		}
	}
}

// remove ends the goroutine and removes the file.
func (f *learnedFile) remove() {
	if f == nil {
		return
	}
	close(f.closing)
	<-f.ended
	removeLearned(filepath.Dir(f.path))
}

// close ends the goroutine, and leaves the newest text in the file.
func (f *learnedFile) close() {
	if f == nil {
		return
	}
	close(f.closing)
	<-f.ended
	select {
	case text := <-f.texts:
		if err := replaceFile(f.path, text); err != nil {
			f.log.Warn("lease not written to the state directory: the next keeper does not know it", zap.Error(err))
		}
	default:
	}
}

// removeLearned removes the file of an earlier take.
func removeLearned(dir string) { _ = os.Remove(filepath.Join(dir, learnedName)) }

// replaceFile writes a file that a reader finds whole or not at all. It is not synced: after a crash of the machine there is no guest.
func replaceFile(path string, text []byte) error {
	temporary := path + ".new"
	_ = os.Remove(temporary)
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}

// readLearned returns the content of the file, or nil: the next switch then starts without it.
func readLearned(dir string) []byte {
	f, err := podnet.OpenOwned(filepath.Join(dir, learnedName))
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, learnedLimit))
	if err != nil || !json.Valid(text) {
		return nil
	}
	return text
}
