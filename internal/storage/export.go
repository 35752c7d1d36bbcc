package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// The stream of a snapshot; docs/format/datadir.md describes it.
const (
	streamMagic   = "WEIRSNAP"
	streamVersion = 1
	frameHeader   = 8
	// frameBytes is the size at which a frame of keys and values is sent.
	frameBytes = 256 << 10
	// maxFrameBytes is the largest frame that is read: one key with a value as
	// large as the log can carry it, and then some.
	maxFrameBytes = 64 << 20
)

// frameKind is the first byte of a frame.
type frameKind byte

const (
	frameBegin frameKind = 1 // the first: magic, version, spans
	framePairs frameKind = 2 // keys and values
	frameEnd   frameKind = 3 // the last: the number of keys
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Export writes the contents of the spans, which are sorted and do not
// overlap, to w. It holds no more than a frame in memory.
func Export(r machine.Reader, spans []Span, w io.Writer) error {
	if err := checkSpans(spans); err != nil {
		return fmt.Errorf("cannot export: %w", err)
	}
	e := &exporter{w: w}
	e.begin(frameBegin)
	e.buf = append(e.buf, streamMagic...)
	e.buf = binary.LittleEndian.AppendUint32(e.buf, streamVersion)
	e.buf = model.AppendUvarint(e.buf, uint64(len(spans)))
	for _, s := range spans {
		e.buf = model.AppendBytes(model.AppendBytes(e.buf, s[0]), s[1])
	}
	if err := e.send(); err != nil {
		return err
	}
	e.begin(framePairs)
	for _, s := range spans {
		if err := e.span(r, s); err != nil {
			return err
		}
	}
	if err := e.send(); err != nil {
		return err
	}
	e.begin(frameEnd)
	e.buf = model.AppendUvarint(e.buf, e.keys)
	return e.send()
}

type exporter struct {
	w    io.Writer
	buf  []byte
	keys uint64
}

func (e *exporter) begin(kind frameKind) {
	e.buf = append(e.buf[:0], 0, 0, 0, 0, 0, 0, 0, 0, byte(kind))
}

// send writes the frame.
func (e *exporter) send() error {
	if len(e.buf)-frameHeader > maxFrameBytes {
		return fmt.Errorf("cannot export: a frame of %d bytes exceeds the limit of %d", len(e.buf)-frameHeader, maxFrameBytes)
	}
	binary.LittleEndian.PutUint32(e.buf, uint32(len(e.buf)-frameHeader))
	binary.LittleEndian.PutUint32(e.buf[4:], crc32.Checksum(e.buf[frameHeader:], castagnoli))
	if _, err := e.w.Write(e.buf); err != nil {
		return fmt.Errorf("cannot send a snapshot: %w", err)
	}
	return nil
}

func (e *exporter) span(r machine.Reader, s Span) error {
	it, err := r.Scan(s[0], s[1], false)
	if err != nil {
		return err
	}
	for it.Next() {
		k, v := it.Key(), it.Value()
		if len(e.buf) > frameHeader+1 && len(e.buf)+len(k)+len(v) > frameBytes {
			if err := e.send(); err != nil {
				_ = it.Close()
				return err
			}
			e.begin(framePairs)
		}
		e.buf = model.AppendBytes(model.AppendBytes(e.buf, k), v)
		e.keys++
	}
	return it.Close()
}

// checkSpans makes sure that spans are not empty, sorted and apart.
func checkSpans(spans []Span) error {
	for i, s := range spans {
		if string(s[0]) >= string(s[1]) {
			return fmt.Errorf("span %d is empty or upside down", i)
		}
		if i > 0 && string(spans[i-1][1]) > string(s[0]) {
			return fmt.Errorf("spans %d and %d overlap or are not sorted", i-1, i)
		}
	}
	return nil
}

// frameReader reads a stream frame by frame.
type frameReader struct {
	r   io.Reader
	buf []byte
}

// next returns a frame's kind and body, which are valid until the next call.
// The memory it takes grows with what arrives, not with what is announced.
func (f *frameReader) next() (frameKind, []byte, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return 0, nil, fmt.Errorf("the snapshot is cut short: %w", err)
	}
	n := int(binary.LittleEndian.Uint32(h[:]))
	if n < 1 || n > maxFrameBytes {
		return 0, nil, fmt.Errorf("the snapshot has a frame of %d bytes: %w", n, model.ErrCorrupt)
	}
	f.buf = f.buf[:0]
	for len(f.buf) < n {
		at := len(f.buf)
		f.buf = append(f.buf, make([]byte, min(n-at, frameBytes))...)
		if _, err := io.ReadFull(f.r, f.buf[at:]); err != nil {
			return 0, nil, fmt.Errorf("the snapshot is cut short: %w", err)
		}
	}
	if crc32.Checksum(f.buf, castagnoli) != binary.LittleEndian.Uint32(h[4:]) {
		return 0, nil, fmt.Errorf("the checksum of a snapshot's frame does not match: %w", model.ErrCorrupt)
	}
	return frameKind(f.buf[0]), f.buf[1:], nil
}

// parseBegin decodes the body of the first frame.
func parseBegin(body []byte) ([]Span, error) {
	d := model.NewDecoder(body)
	if string(d.Fixed(len(streamMagic))) != streamMagic {
		return nil, fmt.Errorf("it does not begin as a snapshot does: %w", model.ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(d.Fixed(4)); v != streamVersion {
		return nil, fmt.Errorf("it has version %d, this version of Weir reads version %d", v, streamVersion)
	}
	spans := make([]Span, 0, 16)
	for n := d.Count(); n > 0; n-- {
		spans = append(spans, Span{append([]byte(nil), d.Bytes()...), append([]byte(nil), d.Bytes()...)})
	}
	if err := d.Done(); err != nil {
		return nil, err
	}
	return spans, checkSpans(spans)
}

// pairs reads the keys and values of a stream in order.
type pairs struct {
	frames frameReader
	spans  []Span
	at     int // the span that the next key is in, or a later one
	body   *model.Decoder
	last   []byte // the last key
	keys   uint64
}

// openPairs reads the beginning of a stream.
func openPairs(r io.Reader) (*pairs, error) {
	p := &pairs{frames: frameReader{r: r}, body: model.NewDecoder(nil)}
	kind, body, err := p.frames.next()
	if err == nil && kind != frameBegin {
		err = fmt.Errorf("the snapshot has no beginning: %w", model.ErrCorrupt)
	}
	if err == nil {
		p.spans, err = parseBegin(body)
	}
	return p, err
}

// next returns the next key and value, valid until the next call; ok is false
// at the end of a complete stream. Keys ascend and are in the spans.
func (p *pairs) next() (key, value []byte, ok bool, err error) {
	for p.body.Len() == 0 {
		kind, body, err := p.frames.next()
		if err != nil {
			return nil, nil, false, err
		}
		d := model.NewDecoder(body)
		if kind == frameEnd {
			if d.Uvarint() != p.keys || d.Done() != nil {
				return nil, nil, false, fmt.Errorf("the snapshot lacks keys: %w", model.ErrCorrupt)
			}
			return nil, nil, false, nil
		}
		if kind != framePairs {
			return nil, nil, false, fmt.Errorf("the snapshot has a frame of kind %d: %w", kind, model.ErrCorrupt)
		}
		p.body = d
	}
	key, value = p.body.Bytes(), p.body.Bytes()
	if err := p.body.Err(); err != nil {
		return nil, nil, false, err
	}
	for p.at < len(p.spans) && string(p.spans[p.at][1]) <= string(key) {
		p.at++
	}
	if p.keys > 0 && string(key) <= string(p.last) || p.at == len(p.spans) || string(key) < string(p.spans[p.at][0]) {
		return nil, nil, false, fmt.Errorf("the snapshot's keys are out of order or outside its spans: %w", model.ErrCorrupt)
	}
	p.last = append(p.last[:0], key...)
	p.keys++
	return key, value, true, nil
}
