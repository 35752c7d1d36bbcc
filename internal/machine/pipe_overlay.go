package machine

// overlay lets a command of many parts read what it wrote: it keeps what was
// read and written in memory and writes each changed key once at the end, in
// the order in which the keys were first touched. It serves commands on single
// items, which neither scan nor delete ranges.
type overlay struct {
	base    Reader
	touched []*overlaid
	byKey   map[string]*overlaid // finds in touched; never ranged over
}

type overlaid struct {
	key     []byte
	value   []byte // nil when there is none
	found   bool
	changed bool
	fresh   bool // the base has none
}

func newOverlay(base Reader) *overlay {
	return &overlay{base: base, byKey: map[string]*overlaid{}}
}

// Get implements Reader. The value must not be changed.
func (o *overlay) Get(key []byte) ([]byte, bool, error) {
	if e, ok := o.byKey[string(key)]; ok {
		return e.value, e.found, nil
	}
	value, found, err := o.base.Get(key)
	if err != nil {
		return nil, false, err
	}
	e := o.touch(key)
	e.value, e.found = value, found
	return value, found, nil
}

// Set implements Writer.
func (o *overlay) Set(key, value []byte) {
	e := o.touch(key)
	e.value, e.found, e.changed = append([]byte(nil), value...), true, true
}

// SetNew implements Writer.
func (o *overlay) SetNew(key, value []byte) {
	e, ok := o.byKey[string(key)]
	absent := !ok || !e.changed
	o.Set(key, value)
	if absent {
		o.byKey[string(key)].fresh = true
	}
}

// Delete implements Writer.
func (o *overlay) Delete(key []byte) {
	e := o.touch(key)
	e.value, e.found, e.changed = nil, false, true
}

// Scan implements Reader.
func (o *overlay) Scan(lo, hi []byte, reverse bool) (Iterator, error) {
	panic("BUG: a command on a single item scans")
}

// DeleteRange implements Writer.
func (o *overlay) DeleteRange(lo, hi []byte) {
	panic("BUG: a command on a single item deletes a range")
}

func (o *overlay) touch(key []byte) *overlaid {
	e, ok := o.byKey[string(key)]
	if !ok {
		e = &overlaid{key: append([]byte(nil), key...)}
		o.byKey[string(key)] = e
		o.touched = append(o.touched, e)
	}
	return e
}

// flush writes the changes.
func (o *overlay) flush(w Writer) {
	for _, e := range o.touched {
		switch {
		case e.fresh && e.found:
			w.SetNew(e.key, e.value)
		case e.changed && e.found:
			w.Set(e.key, e.value)
		case e.changed:
			w.Delete(e.key)
		}
	}
}
