//! The C side: a VFS that hands everything to the default one and tells the disk what happened.

use super::{Change, Disk};
use rusqlite::ffi;
use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::PathBuf,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A file: SQLite's part, ours, and behind it the file of the default VFS.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    ours: *mut Ours,
}

struct Ours {
    disk: &'static Disk,
    /// `None` for temporary files.
    path: Option<PathBuf>,
    /// Failed syncs this descriptor was told of.
    seen: AtomicU64,
}

unsafe fn ours<'a>(file: *mut ffi::sqlite3_file) -> &'a Ours {
    unsafe { &*(*file.cast::<File>()).ours }
}

unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    unsafe { file.cast::<File>().add(1).cast() }
}

unsafe fn methods<'a>(file: *mut ffi::sqlite3_file) -> &'a ffi::sqlite3_io_methods {
    unsafe { &*(*real(file)).pMethods }
}

/// Registers a VFS under a new name. Disks live until the process ends.
pub(super) fn register(make: impl FnOnce(String) -> Disk) -> Arc<Disk> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("portolan-disk-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let disk = Arc::new(make(name.clone()));
    unsafe {
        ffi::sqlite3_initialize();
        let default = ffi::sqlite3_vfs_find(ptr::null());
        let mut vfs = *default;
        vfs.iVersion = 2;
        vfs.szOsFile = c_int::try_from(size_of::<File>()).unwrap() + (*default).szOsFile;
        vfs.pNext = ptr::null_mut();
        vfs.zName = CString::new(name).unwrap().into_raw();
        vfs.pAppData = Arc::into_raw(disk.clone()).cast_mut().cast::<c_void>();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        assert_eq!(ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0), ffi::SQLITE_OK);
    }
    disk
}

unsafe fn disk_of(vfs: *mut ffi::sqlite3_vfs) -> &'static Disk {
    unsafe { &*(*vfs).pAppData.cast::<Disk>() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    unsafe {
        let default = ffi::sqlite3_vfs_find(ptr::null());
        (*file).pMethods = ptr::null();
        (*real(file)).pMethods = ptr::null();
        let code = (*default).xOpen.unwrap()(default, name, real(file), flags, out);
        if code != ffi::SQLITE_OK {
            return code;
        }
        let path = (!name.is_null()).then(|| PathBuf::from(CStr::from_ptr(name).to_str().unwrap()));
        let disk = disk_of(vfs);
        let seen = AtomicU64::new(path.as_ref().map_or(0, |path| disk.errors(path)));
        (*file.cast::<File>()).ours = Box::into_raw(Box::new(Ours { disk, path, seen }));
        (*file).pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    unsafe {
        let default = ffi::sqlite3_vfs_find(ptr::null());
        let code = (*default).xDelete.unwrap()(default, name, sync_folder);
        if code == ffi::SQLITE_OK {
            let path = PathBuf::from(CStr::from_ptr(name).to_str().unwrap());
            let disk = disk_of(vfs);
            disk.changed(&path, Change::Delete);
            if sync_folder != 0 {
                disk.lock().files.remove(&path);
            }
        }
        code
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let code = methods(file).xClose.unwrap()(real(file));
        drop(Box::from_raw((*file.cast::<File>()).ours));
        code
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, amount: c_int, at: ffi::sqlite3_int64) -> c_int {
    unsafe { methods(file).xRead.unwrap()(real(file), to, amount, at) }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, amount: c_int, at: ffi::sqlite3_int64) -> c_int {
    unsafe {
        let Ours { disk, path, .. } = ours(file);
        let faults = disk.lock().faults.clone();
        if faults.full {
            return ffi::SQLITE_FULL;
        }
        if faults.writes {
            return ffi::SQLITE_IOERR_WRITE;
        }
        let code = methods(file).xWrite.unwrap()(real(file), from, amount, at);
        if let (ffi::SQLITE_OK, Some(path)) = (code, path) {
            let bytes = std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(amount).unwrap()).to_vec();
            disk.changed(path, Change::Write { at: usize::try_from(at).unwrap(), bytes });
        }
        code
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    unsafe {
        let code = methods(file).xTruncate.unwrap()(real(file), size);
        if let (ffi::SQLITE_OK, Ours { disk, path: Some(path), .. }) = (code, ours(file)) {
            disk.changed(path, Change::Truncate(usize::try_from(size).unwrap()));
        }
        code
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    unsafe {
        // What the real file has does not matter to the image, so nothing is really synced.
        let Ours { disk, path: Some(path), seen } = ours(file) else { return ffi::SQLITE_OK };
        let (done, errors) = disk.sync(path, seen.load(Ordering::Relaxed));
        seen.store(errors, Ordering::Relaxed);
        if done { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_FSYNC }
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64) -> c_int {
    unsafe { methods(file).xFileSize.unwrap()(real(file), size) }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    unsafe { methods(file).xLock.unwrap()(real(file), level) }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    unsafe { methods(file).xUnlock.unwrap()(real(file), level) }
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    unsafe { methods(file).xCheckReservedLock.unwrap()(real(file), out) }
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    unsafe { methods(file).xFileControl.unwrap()(real(file), operation, argument) }
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe { methods(file).xSectorSize.unwrap()(real(file)) }
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe { methods(file).xDeviceCharacteristics.unwrap()(real(file)) }
}

unsafe extern "C" fn shm_map(file: *mut ffi::sqlite3_file, region: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int {
    unsafe { methods(file).xShmMap.unwrap()(real(file), region, size, extend, out) }
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    unsafe { methods(file).xShmLock.unwrap()(real(file), offset, count, flags) }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    unsafe { methods(file).xShmBarrier.unwrap()(real(file)) }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    unsafe { methods(file).xShmUnmap.unwrap()(real(file), delete) }
}

/// Version 2: shared memory, no memory-mapped pages.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
