package machine

import "weir.dev/weir/internal/keys"

// succeed makes record the successor of what is stored, which it reads into old
// if that was not done: a write here knows of all writes whose effect is here.
func succeed(tx *Tx, record *keys.ItemRecord, old *storedItem, key []byte) error {
	if !old.read {
		var err error
		if *old, err = readItem(tx, tx.Command.Resource, key); err != nil {
			return err
		}
	}
	if tx.wanted.keep {
		record.History = old.History.Without(0)
		if old.Region != 0 {
			record.History = old.History.Learn(old.Version()).Without(0)
		}
	}
	return nil
}

// removeWatched deletes an item of a table that somebody watches. A delete of
// what is not there counts where other regions write the table: one of them may
// have it.
func removeWatched(tx *Tx, old *storedItem, key []byte) error {
	record := keys.ItemRecord{Stamp: tx.Command.Stamp, Tombstone: true}
	if err := succeed(tx, &record, old, key); err != nil {
		return err
	}
	if err := rememberWrite(tx, &record, old, &wholly); err != nil {
		return err
	}
	if tx.wanted.keep {
		tx.changes.note(tx, key, &record, old)
		return setRecord(tx, key, &record)
	}
	slot, _ := slotOfItem(key)
	if old.found {
		tx.changes.note(tx, key, &record, old)
	}
	tx.Delete(keys.AppendItem(nil, tx.Command.Resource, slot, key))
	return nil
}
