//! Launches as a graph of the driver: one call queues them all.

use super::sequence::{Launch, Launches};
use super::{Device, Function, failed};
use crate::error::Result;
use cudarc::driver::{DriverError, sys};
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// A chain of launches, ready to be queued again and again.
pub struct Graph {
    device: Arc<Device>,
    graph: sys::CUgraph,
    executable: sys::CUgraphExec,
    nodes: Vec<sys::CUgraphNode>,
    /// With the arguments that the nodes have now.
    launches: Launches,
}

// SAFETY: handles of the driver, good on every thread that has bound the context; every method binds it.
unsafe impl Send for Graph {}

impl Graph {
    /// A graph of these launches, each after the one before.
    pub fn new(device: &Arc<Device>, launches: Launches) -> Result<Graph> {
        device.bind()?;
        device.state().counters.graphs += 1;
        let (mut graph, executable) = (null_mut(), null_mut());
        // SAFETY: writes one handle.
        unsafe { sys::cuGraphCreate(&mut graph, 0) }.result().map_err(|e| failed("make a graph", e))?;
        let mut made = Graph { device: device.clone(), graph, executable, nodes: vec![], launches };
        made.fill().map_err(|e| failed("make a graph", e))?;
        Ok(made)
    }

    fn fill(&mut self) -> Result<(), DriverError> {
        for (launch, args) in self.launches.iter() {
            let mut node = null_mut();
            // SAFETY: the graph is ours, and the driver copies the arguments, which are as long as the function's
            // parameter.
            with_params(launch, args, |params| unsafe {
                sys::cuGraphAddKernelNode_v2(&mut node, self.graph, null(), 0, params)
            })?;
            if let Some(before) = self.nodes.last() {
                let edge = edge_to(launch.function);
                // SAFETY: two nodes of the graph, and one edge.
                unsafe { sys::cuGraphAddDependencies_v2(self.graph, before, &node, &edge, 1) }.result()?;
            }
            self.nodes.push(node);
        }
        // SAFETY: writes one handle.
        unsafe { sys::cuGraphInstantiateWithFlags(&mut self.executable, self.graph, 0) }.result()
    }

    /// Whether it is of such launches, on this device.
    pub fn is_like(&self, device: &Arc<Device>, launches: &Launches) -> bool {
        Arc::ptr_eq(&self.device, device) && self.launches.are_like(launches)
    }

    /// Gives the nodes the arguments of `launches`, which [`Graph::is_like`] has accepted, and leaves the old ones
    /// there. Launches that are queued keep theirs. After an error the graph is of no use.
    pub fn update(&mut self, launches: &mut Launches) -> Result<()> {
        self.device.bind()?;
        let mut changes = 0;
        for ((&node, (_, old)), (launch, new)) in
            self.nodes.iter().zip(self.launches.iter()).zip(launches.iter())
        {
            if old == new {
                continue;
            }
            // SAFETY: a node of the graph that the executable was made of; the driver copies the arguments.
            with_params(launch, new, |params| unsafe {
                sys::cuGraphExecKernelNodeSetParams_v2(self.executable, node, params)
            })
            .map_err(|e| failed("change a graph", e))?;
            changes += 1;
        }
        std::mem::swap(&mut self.launches, launches);
        self.device.state().counters.changes += changes;
        Ok(())
    }

    /// Queues all launches.
    ///
    /// # Safety
    /// As for [`Device::launch`], for each of them with the arguments of the last update.
    pub unsafe fn launch(&self) -> Result<()> {
        self.device.bind()?;
        self.device.state().counters.sequences += 1;
        // SAFETY: the caller's promise.
        unsafe { sys::cuGraphLaunch(self.executable, self.device.stream) }
            .result()
            .map_err(|e| failed("launch a graph", e))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // An error on the way out has nobody to tell.
        let _ = self.device.wait();
        // SAFETY: both are ours and, the stream being empty, not in use.
        unsafe {
            if !self.executable.is_null() {
                let _ = sys::cuGraphExecDestroy(self.executable).result();
            }
            let _ = sys::cuGraphDestroy(self.graph).result();
        }
    }
}

/// How a kernel follows the one before: when that is done, or as it pleases, because it waits for that by itself.
fn edge_to(function: Function) -> sys::CUgraphEdgeData {
    use sys::CUgraphDependencyType_enum::{
        CU_GRAPH_DEPENDENCY_TYPE_DEFAULT as DONE, CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC as AS_IT_PLEASES,
    };
    let (from_port, kind) = match function.overlaps() {
        true => (sys::CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC, AS_IT_PLEASES),
        false => (sys::CU_GRAPH_KERNEL_NODE_PORT_DEFAULT, DONE),
    };
    sys::CUgraphEdgeData { from_port: from_port as u8, to_port: 0, type_: kind as u8, reserved: [0; 5] }
}

/// Calls the driver with the description of a node.
fn with_params(
    launch: Launch,
    args: &[u8],
    call: impl FnOnce(*const sys::CUDA_KERNEL_NODE_PARAMS) -> sys::CUresult,
) -> Result<(), DriverError> {
    let mut args = [args.as_ptr().cast_mut().cast::<c_void>()];
    let [x, y, z] = launch.grid.blocks;
    let params = sys::CUDA_KERNEL_NODE_PARAMS {
        func: launch.function.handle(),
        gridDimX: x,
        gridDimY: y,
        gridDimZ: z,
        blockDimX: launch.grid.threads,
        blockDimY: 1,
        blockDimZ: 1,
        sharedMemBytes: launch.grid.shared,
        kernelParams: args.as_mut_ptr(),
        extra: null_mut(),
        kern: null_mut(),
        ctx: null_mut(),
    };
    call(&params).result()
}
